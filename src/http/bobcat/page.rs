//! `/`: the page by which every tool knows a Bobcat.

use super::admin::escaped;
use super::status::word;
use super::temperature::Temperatures;
use super::view::View;

/// What the tools look for in it.
const TITLE: &str = "Diagnoser - Bobcatminer Diagnostic Dashboard";

/// Writes the page. Two tools read more of it than its title: the name stands between `> ` and `<`, on the line of the
/// header's end.
pub(super) fn page(view: &View, temperatures: &Temperatures) -> String {
    let animal = view
        .observation
        .identity
        .animal
        .as_deref()
        .unwrap_or_default();
    let name = escaped(&words(animal));
    let status = word(view.phase);
    let gap = match view.observation.gap {
        Some(gap) => format!(" (gap:{gap})"),
        None => String::new(),
    };
    let colour = match view.led() {
        "green" => "lime",
        colour => colour,
    };
    let zero = temperatures.zero();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}</title>
<style>
body {{ background: #111; color: #eee; font-family: sans-serif; margin: 2em auto; max-width: 40em; }}
header {{ font-size: 1.5em; margin-bottom: 1em; }}
li {{ margin: .5em 0; }}
a {{ color: #9cf; }}
button {{ font: inherit; }}
</style>
</head>
<body>
<header><i style="color:{colour}">&#9679;</i> {name}</header>
<p>Sync: <span class="{status}">{status}{gap}</span>, {zero}</p>
<ul>
<li><a href="/status.json">Sync status</a></li>
<li><a href="/miner.json">Miner</a></li>
<li><a href="/temp.json">Temperatures</a></li>
<li><a href="/speed.json">Speed test</a></li>
<li><a href="/dig.json">Dig</a></li>
<li><a href="/led.json">Light</a></li>
<li><a href="/log/console.log">Log</a></li>
<li><button data-action="resync">Resync miner</button></li>
<li><button data-action="fastsync">Fast sync</button></li>
<li><button data-action="reset">Reset miner</button></li>
<li><button data-action="reboot">Reboot</button></li>
</ul>
<p id="said"></p>
<script>
for (const button of document.querySelectorAll("button")) {{
  button.addEventListener("click", async () => {{
    const action = button.dataset.action;
    if (!confirm(button.textContent + "?")) return;
    if (action !== "reboot" && prompt("Enter 'I Agree' to go on") !== "I Agree") return;
    const said = document.getElementById("said");
    said.textContent = "Please wait ...";
    try {{
      const reply = await fetch("/admin/" + action, {{ method: "POST" }});
      said.textContent = (await reply.text()).replaceAll("<br>", "\n");
    }} catch (error) {{
      said.textContent = String(error);
    }}
  }});
}}
</script>
<footer>ostler {version}</footer>
</body>
</html>
"#
    )
}

/// `Fancy Awesome Bobcat` of `fancy-awesome-bobcat`.
fn words(animal: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    animal.split('-').map(capital).collect::<Vec<_>>().join(" ")
}
