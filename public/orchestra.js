// Chainlit sets the page's address from its list of conversations, which is closed on a phone: a
// reload would show the welcome. To be dropped when Chainlit sets it by itself.
const listIsClosed = window.matchMedia("(max-width: 767px)")
window.addEventListener("message", (event) => {
  const thread = event.source === window && event.data && event.data.orchestraThread
  if (thread && listIsClosed.matches && window.location.pathname === "/") {
    window.history.replaceState(window.history.state, "", `/thread/${encodeURIComponent(thread)}`)
  }
})
