// A cluster's page opens by its address, `#cluster=KEY`. The first few stand in the file; the others are compressed parts
// of it, whose markup the reporter wrote and escaped as it did the rest of the file.
(() => {
  const byId = (id) => document.getElementById(id);
  const main = document.querySelector("main");
  const title = document.title;

  const read = (id) => JSON.parse(new TextDecoder().decode(bytes(byId(id).content.textContent)));
  const bytes = (packed) => Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));

  const unpack = async (place) => {
    const packed = document.querySelectorAll(".cluster-part")[place].content.textContent;
    const stream = new Blob([bytes(packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };

  const find = async (id, key) => {
    if (byId(id) || !byId("cluster-places")) return byId(id);
    const [part, place] = read("cluster-places")[key] ?? [];
    if (part === undefined) return null;
    const page = document.createElement("template");
    page.innerHTML = (await unpack(part))[place];
    if (!byId(id)) main.append(page.content);
    return byId(id);
  };

  const close = () => {
    document.documentElement.classList.remove("in-cluster");
    document.title = title;
    for (const page of document.querySelectorAll(".cluster-page.open")) page.classList.remove("open");
  };

  const follow = async () => {
    const { hash } = location;
    if (!hash.startsWith("#cluster=")) {
      const leaving = document.documentElement.classList.contains("in-cluster");
      close();
      if (leaving) byId(hash.slice(1))?.scrollIntoView();
      return;
    }
    let key;
    try { key = decodeURIComponent(hash.slice("#cluster=".length)); } catch { return; }
    const page = await find(hash.slice(1), key);
    if (location.hash !== hash) return;
    close();
    if (!page) return;
    page.classList.add("open");
    document.documentElement.classList.add("in-cluster");
    document.title = `${page.querySelector("h2").textContent} – ${title}`;
    scrollTo(0, 0);
    page.focus({ preventScroll: true });
  };

  const pointed = (event) => {
    const link = event.target.closest?.("[data-page]");
    if (link) link.href = `#cluster=${link.dataset.page}`;
  };
  for (const kind of ["pointerover", "focusin", "click"]) document.addEventListener(kind, pointed, { capture: true });

  // A link to findings asks for them without a new address that would be followed here.
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-ask]") && !event.ctrlKey && !event.metaKey && !event.shiftKey) close();
  }, { capture: true });
  addEventListener("hashchange", follow);
  addEventListener("load", follow);
})();
