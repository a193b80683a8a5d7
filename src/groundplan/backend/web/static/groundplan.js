// The only script of our own: copy buttons, and the theme form that sends itself.
// Every page works without it, so what needs it is rendered `hidden` and shown here.

function prepare(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    if (navigator.clipboard) button.hidden = false;
  }
  for (const button of root.querySelectorAll("[data-submits] button")) {
    button.hidden = true;
  }
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.innerText.trim());
  const words = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = words; }, 1500);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-submits]");
  if (form) form.requestSubmit();
});

document.addEventListener("htmx:after:swap", () => prepare(document));
prepare(document);
