//! `docs/CAPACITY.md` and `docs/SIZING.md` show what the program prints, and the files beside it are what it makes of the readings.

use std::path::{Path, PathBuf};
use std::process::Command;

const BEGIN: &str = "<!-- foghorn-load ";
const END: &str = "<!-- end -->";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// A folder with nothing but the readings in `docs/capacity`, in which the program may write.
struct Desk(PathBuf);

impl Desk {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("foghorn-capacity-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("docs/capacity")).expect("a folder");
        let readings = "docs/capacity/measured.json";
        std::fs::copy(docs().join("..").join(readings), folder.join(readings))
            .expect("the readings are there");
        Self(folder)
    }

    fn run(&self, arguments: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foghorn-load"));
        let out = command
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("it runs");
        let complaint = String::from_utf8(out.stderr).expect("text");
        // That a site is too large for any cluster is an answer too.
        let answered = out.status.success() || complaint.contains("each hears every event");
        assert!(answered, "{arguments}: {complaint}");
        String::from_utf8(out.stdout).expect("text") + &complaint
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The page with every block made anew.
fn remade(page: &str, desk: &Desk) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some((before, block)) = rest.split_once(BEGIN) {
        let (arguments, old) = block
            .split_once(" -->\n")
            .expect("a block begins with its command");
        let (_, after) = old.split_once(END).expect("a block has an end");
        out += &format!(
            "{before}{BEGIN}{arguments} -->\n\n{}\n{END}",
            desk.run(arguments)
        );
        rest = after;
    }
    out + rest
}

#[test]
fn the_page_and_its_files_are_made_by_the_program() {
    let desk = Desk::new();
    let mut pairs: Vec<_> = ["CAPACITY.md", "SIZING.md"]
        .map(|name| docs().join(name))
        .map(|page| {
            let there = std::fs::read_to_string(&page).expect("the page");
            let made = remade(&there, &desk);
            (page, made)
        })
        .into();
    for file in std::fs::read_dir(desk.0.join("docs/capacity"))
        .expect("made")
        .flatten()
    {
        let made = std::fs::read_to_string(file.path()).expect("text");
        pairs.push((docs().join("capacity").join(file.file_name()), made));
    }
    assert!(
        pairs.len() > 5,
        "the page makes its coefficients and plots: {pairs:?}"
    );
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    for (path, made) in pairs {
        if update {
            std::fs::write(&path, &made).expect("it can be written");
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == made,
            "{} is not what the program makes: UPDATE_DOCS=1 cargo test -p foghorn-load --test capacity_page, twice where \
             the coefficients changed",
            path.display()
        );
    }
}

/// What a block of the planner says first: nodes, shards, and what runs out.
fn answer(block: &str) -> (&str, &str, &str) {
    let after = |word| block.split_once(word).expect("the planner's first line").1;
    let number = |text: &'static str| after(text).split([' ', '.']).next().unwrap_or_default();
    let first = after("Runs out first: ").lines().next().unwrap_or_default();
    (
        number("Nodes: "),
        number("Redis shards: "),
        first.trim_end_matches('.'),
    )
}

#[test]
fn the_table_of_sizes_says_what_the_planner_says_below_it() {
    let page = std::fs::read_to_string(docs().join("SIZING.md")).expect("the page");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ["))
        .map(|line| line.split(" | ").collect())
        .collect();
    assert!(rows.len() > 4, "{rows:?}");
    for row in rows {
        let (shown, anchor) = row[0]
            .trim_start_matches("| [")
            .split_once("](#")
            .expect("a link to its section");
        let heading = format!("## {}\n", anchor.trim_end_matches(')').replace('-', " "));
        let block = page
            .split_once(&heading)
            .unwrap_or_else(|| panic!("no section {heading}"))
            .1;
        let (nodes, shards, first) = answer(block);
        assert_eq!(
            (row[1], row[2], row[4].trim_end_matches(" |")),
            (nodes, shards, first),
            "{shown} users"
        );
        assert!(
            heading.contains(&shown.replace(',', "")),
            "{shown} {heading}"
        );
    }
}
