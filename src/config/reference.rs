//! `docs/CONFIGURATION.md`, made from the table of settings; a test compares the two.

use std::fmt::Write;

use super::reader::Sources;
use super::settings::{Mask, Row};

const HEAD: &str = "\
# Configuration

<!-- Made by `foghorn check-config --reference`; change the `settings!` of src/config/settings/table.rs and of src/dialect/*/settings.rs instead. -->

A setting comes from the command line, else from the environment, else from systemd's credentials (a file of the setting's
name in `$CREDENTIALS_DIRECTORY`; secrets only), else from the file that `FOGHORN_ENV_FILE` names, else from the `.env` in the
`-c` folder, else from {PLACES}, else from its default.
An empty variable counts as not set. Of a secret and its `_FILE` the one that comes from nearer counts.
SIGHUP reads all of it again, except the environment, which a running process keeps;
settings marked with ↻ are put into force then, and the log says which of the others need a restart.
Sizes are bytes, or have a unit (`64KiB`, `4MiB`); times are seconds. `foghorn check-config` shows what holds here, where
it came from, and everything that is wrong; `--changed` only what differs from the defaults, and with `--strict` what is only
noted counts as wrong too.

The dialects, which `FOGHORN_DIALECTS` switches on:

| dialect | what it is |
| --- | --- |
";

/// The page.
pub fn markdown() -> String {
    let sources = Sources::default();
    let places: Vec<&str> = sources.predecessors().map(|(_, one)| one.place).collect();
    let mut page = HEAD.replace("{PLACES}", &places.join(", else\nfrom "));
    for dialect in &sources.dialects {
        let (name, about) = (dialect.name, dialect.about);
        let _ = writeln!(page, "| `{name}` | {about} |");
    }
    let mut area = "";
    for row in sources.rows() {
        if row.area != area {
            area = row.area;
            let _ = write!(
                page,
                "\n## {area}\n\n| setting | default | value | what it does |\n| --- | --- | --- | --- |\n"
            );
        }
        page.push_str(&line(row, &stand_ins(&sources, row)));
    }
    page
}

/// The keys that stand in for a setting.
fn stand_ins(sources: &Sources, row: &Row) -> String {
    let predecessors = sources.predecessors();
    let keys = predecessors.flat_map(|(_, one)| one.keys_of(row.name));
    keys.map(|(file, key)| format!("<br>{file}: `{key}`"))
        .collect()
}

fn line(row: &Row, stand_ins: &str) -> String {
    let default = if row.default.is_empty() {
        "".into()
    } else {
        format!("`{}`", row.default.replace(',', "` `"))
    };
    let secret = match row.mask {
        Mask::Open => "",
        Mask::Secret => " Never shown.",
        Mask::Urls => " Shown without passwords.",
        Mask::File => "",
    };
    let live = if row.live { " ↻" } else { "" };
    format!(
        "| `{}`{live}{stand_ins} | {default} | {} | {}{secret} |\n",
        row.name, row.shape, row.help
    )
}
