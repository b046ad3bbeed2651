"""What the process is told before vendors' packages are used."""

import gc
import os
import stat

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from orchestra.environment import limit_threads, prepare_environment
from orchestra.errors import StorageError
from orchestra.settings import read_settings


def test_the_secret_of_sessions_is_kept_and_is_nobody_elses(tmp_path, monkeypatch):
    settings = read_settings(data_dir=tmp_path / "new")
    secrets = []
    for _ in range(2):
        monkeypatch.delenv("CHAINLIT_AUTH_SECRET", raising=False)
        prepare_environment(settings)
        secrets.append(os.environ["CHAINLIT_AUTH_SECRET"])
    assert secrets[0] == secrets[1]
    assert len(secrets[0]) >= 64
    assert stat.S_IMODE((tmp_path / "new" / "sign-in.secret").stat().st_mode) == 0o600


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CHAINLIT_AUTH_SECRET", raising=False)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"data folder .*file.* cannot be written"):
        prepare_environment(read_settings(data_dir=tmp_path / "file"))


def test_linear_algebra_gets_one_thread():
    assert np.eye(2) @ np.ones(2) is not None  # loads the library
    limit_threads()
    assert {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"} == {1}


def test_garbage_is_looked_for_less_often_than_python_would(tmp_path):
    prepare_environment(read_settings(data_dir=tmp_path))
    assert gc.get_threshold()[0] == 10_000
