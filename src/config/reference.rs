//! `docs/CONFIGURATION.md`, made from the table of settings; a test compares the two.

use std::fmt::Write;

use super::settings::{LIVE, Mask, Row, TABLE};

const HEAD: &str = "\
# Configuration

<!-- Made by `foghorn check-config --reference`; change src/config/settings/table.rs instead. -->

A setting comes from the command line, else from the environment, else from the file that `FOGHORN_ENV_FILE` names, else
from the `[notification]` section of the `seafile.conf` in the `-c` folder (Seafile 10 to 12), else from its default. An
empty variable counts as not set. SIGHUP reads all of it again, except the environment, which a running process keeps;
settings marked with ↻ are put into force then, and the log says which of the others need a restart.
Sizes are bytes, or have a unit (`64KiB`, `4MiB`); times are seconds. `foghorn check-config` shows what holds here, where
it came from, and everything that is wrong.
";

/// The page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut area = "";
    for row in TABLE {
        if row.area != area {
            area = row.area;
            let _ = write!(
                page,
                "\n## {area}\n\n| setting | default | value | what it does |\n| --- | --- | --- | --- |\n"
            );
        }
        page.push_str(&line(row));
    }
    page
}

fn line(row: &Row) -> String {
    let conf = row.conf.map(|key| format!("<br>`seafile.conf`: `{key}`")).unwrap_or_default();
    let default = if row.default.is_empty() { "".into() } else { format!("`{}`", row.default.replace(',', "` `")) };
    let secret = match row.mask {
        Mask::Open => "",
        Mask::Secret => " Never shown.",
        Mask::Urls => " Shown without passwords.",
    };
    let live = if LIVE.contains(&row.name) { " ↻" } else { "" };
    format!("| `{}`{live}{conf} | {default} | {} | {}{secret} |\n", row.name, row.shape, row.help)
}
