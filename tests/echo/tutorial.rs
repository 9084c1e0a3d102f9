//! The page that teaches how to add a dialect shows what is compiled and run here.

/// Without the blanks that a piece of a function begins its lines with.
fn plain(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect()
}

#[test]
fn the_code_on_the_page_is_the_code_that_runs() {
    let page = include_str!("../../docs/ARCHITECTURE.md");
    let code = plain(
        &[
            include_str!("dialect.rs"),
            include_str!("session.rs"),
            include_str!("kinds.rs"),
        ]
        .concat(),
    );
    let shown: Vec<&str> = page
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("the block ends"))
        .collect();
    assert!(shown.len() > 5, "{} blocks", shown.len());
    for block in shown {
        assert!(code.contains(&plain(block)), "not in tests/echo:\n{block}");
    }
}
