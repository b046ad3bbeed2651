"""Password accounts on a real database."""

import pytest

from orchestra.accounts import ATTEMPTS, WINDOW_SECONDS, Accounts
from orchestra.errors import SignInError

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


async def test_the_right_password_opens_and_a_wrong_one_does_not(database):
    accounts = Accounts(database)
    await accounts.add("anna", PASSWORD)
    assert await accounts.sign_in("anna", PASSWORD)
    assert not await accounts.sign_in("anna", PASSWORD + "!")
    assert not await accounts.sign_in("nobody", PASSWORD)


async def test_too_many_wrong_passwords_close_the_account_for_a_while(database):
    clock = Clock()
    accounts = Accounts(database, clock)
    await accounts.add("anna", PASSWORD)
    for _ in range(ATTEMPTS):
        assert not await accounts.sign_in("anna", "wrong password")
    with pytest.raises(SignInError, match="Wait 5 minutes"):
        await accounts.sign_in("anna", PASSWORD)
    clock.now += WINDOW_SECONDS + 1
    assert await accounts.sign_in("anna", PASSWORD)


async def test_a_key_belongs_to_its_account_until_the_next_one(database):
    accounts = Accounts(database)
    old = await accounts.add("anna", PASSWORD)
    assert await accounts.owner_of_key(old) == "anna"
    new = await accounts.add("anna", PASSWORD)
    assert (await accounts.owner_of_key(old), await accounts.owner_of_key(new)) == (None, "anna")


async def test_accounts_are_listed_in_order_and_removed_by_name(database):
    accounts = Accounts(database)
    for name in ("cleo", "anna", "ben"):
        await accounts.add(name, PASSWORD)
    await accounts.remove("ben")
    assert await accounts.names() == ["anna", "cleo"]
    with pytest.raises(SignInError, match="no account 'ben'"):
        await accounts.remove("ben")


@pytest.mark.parametrize(
    ("name", "password"), [("../x", PASSWORD), ("", PASSWORD), ("anna", "short")]
)
async def test_unusable_names_and_passwords_are_refused(database, name, password):
    with pytest.raises(SignInError):
        await Accounts(database).add(name, password)


async def test_the_file_holds_no_password_and_no_key(database, tmp_path):
    key = await Accounts(database).add("anna", PASSWORD)
    await database.close()
    for path in tmp_path.rglob("orchestra.db*"):
        content = path.read_bytes()
        assert PASSWORD.encode() not in content
        assert key.encode() not in content
