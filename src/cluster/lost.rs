//! Nodes that ended without a word, kept in memory for a while.
//!
//! Invariant: a node that said goodbye is not lost, nor is one while this node itself does not hear; what is kept is bounded
//! in number and in time.

use std::collections::BTreeMap;

use super::view::NodeView;

/// A lost node is remembered for this long, in milliseconds.
pub(super) const FORGOTTEN_MS: u64 = 60 * 60 * 1_000;
/// So many are remembered.
const MOST: usize = 100;
/// A node whose last word is younger than this when it disappears has said goodbye: one that died is taken out of the list
/// only when nothing was heard of it for longer. Milliseconds.
const GOODBYE_MS: u64 = 5_000;
/// Looks in a row without it: after an outage the first looks see only those that were quickest.
const LOOKS: u32 = 2;

/// The nodes that were there, and those that are lost.
#[derive(Debug, Default)]
pub struct LostNodes {
    /// As they were last seen, with the looks since.
    known: BTreeMap<String, (NodeView, u32)>,
    lost: BTreeMap<String, NodeView>,
}

impl LostNodes {
    /// Looks at the nodes there are now. `hears`: whether this node hears all of its shards.
    pub fn look(&mut self, nodes: &[NodeView], hears: bool, now_ms: u64) {
        for node in nodes {
            self.known.insert(node.id.clone(), (node.clone(), 0));
            // It is there after all, or started again under its name.
            self.lost
                .retain(|id, lost| *id != node.id && lost.name != node.name);
        }
        self.lost
            .retain(|_, lost| now_ms.saturating_sub(lost.lost_ms.unwrap_or(0)) < FORGOTTEN_MS);
        if !hears {
            return;
        }
        let (mut gone, here) = (Vec::new(), |id: &String| {
            nodes.iter().any(|node| node.id == *id)
        });
        for (id, (_, looks)) in self.known.iter_mut().filter(|(id, _)| !here(id)) {
            *looks += 1;
            if *looks >= LOOKS {
                gone.push(id.clone());
            }
        }
        for id in gone {
            let Some((node, looks)) = self.known.remove(&id) else {
                continue;
            };
            let ending = matches!(node.phase.as_str(), "settling" | "closing");
            // As old as it was when it was first missed.
            let silent =
                now_ms.saturating_sub(node.seen_ms) > GOODBYE_MS + u64::from(looks) * 2_000;
            let again = nodes.iter().any(|other| other.name == node.name);
            if silent && !ending && !again && self.lost.len() < MOST {
                self.lost.insert(
                    id,
                    NodeView {
                        lost_ms: Some(now_ms),
                        ..node
                    },
                );
            }
        }
    }

    /// The lost ones, by name.
    pub fn list(&self) -> Vec<NodeView> {
        let mut list: Vec<NodeView> = self.lost.values().cloned().collect();
        list.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, seen_ms: u64, phase: &str) -> NodeView {
        NodeView {
            id: id.into(),
            name: id.to_uppercase(),
            seen_ms,
            phase: phase.into(),
            ..NodeView::default()
        }
    }

    fn names(lost: &LostNodes) -> Vec<String> {
        lost.list().into_iter().map(|node| node.name).collect()
    }

    fn looks(lost: &mut LostNodes, nodes: &[NodeView], now_ms: u64) {
        (0..LOOKS).for_each(|_| lost.look(nodes, true, now_ms));
    }

    #[test]
    fn who_dies_is_remembered_and_who_leaves_is_not() {
        let mut lost = LostNodes::default();
        lost.look(
            &[
                node("a", 1_000, "running"),
                node("b", 1_000, "running"),
                node("c", 11_000, "running"),
                node("d", 0, "closing"),
            ],
            true,
            11_000,
        );
        looks(&mut lost, &[node("a", 12_000, "running")], 14_000);
        assert_eq!(
            names(&lost),
            ["B"],
            "c was heard of when it went, d was ending"
        );
        // It comes back under its name.
        lost.look(
            &[
                node("a", 15_000, "running"),
                NodeView {
                    name: "B".into(),
                    ..node("e", 15_000, "starting")
                },
            ],
            true,
            15_000,
        );
        assert_eq!(names(&lost), Vec::<String>::new());
    }

    #[test]
    fn a_node_that_hears_nothing_takes_nobody_for_lost() {
        let mut lost = LostNodes::default();
        lost.look(&[node("a", 0, "running")], true, 0);
        (0..9).for_each(|_| lost.look(&[], false, 60_000));
        assert_eq!(names(&lost), Vec::<String>::new());
        lost.look(&[], true, 60_000);
        lost.look(&[node("a", 61_000, "running")], true, 61_000);
        assert_eq!(names(&lost), Vec::<String>::new());
    }

    #[test]
    fn a_lost_node_is_forgotten_in_the_end() {
        let mut lost = LostNodes::default();
        lost.look(&[node("a", 0, "running")], true, 0);
        looks(&mut lost, &[], 20_000);
        assert_eq!(names(&lost), ["A"]);
        lost.look(&[], true, 20_000 + FORGOTTEN_MS);
        assert_eq!(names(&lost), Vec::<String>::new());
    }
}
