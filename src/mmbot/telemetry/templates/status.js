const state = document.getElementById("state");
const line = document.getElementById("line");
const events = new EventSource("events");
events.onmessage = (event) => { state.innerHTML = event.data; line.textContent = ""; };
events.onerror = () => { line.textContent = "The run does not answer: what stands above is the last that it said."; };
