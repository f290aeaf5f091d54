//! Events in our own JSON, as they go into requests: the parts of an act together.

use serde::Deserialize;

use crate::sender::Unit;

/// Acts waiting for their last part.
const WAITING_ACTS_MAX: usize = 10_000;

/// Gathers the parts of acts.
#[derive(Default)]
pub struct Acts {
    /// Acts whose parts have not all been read, oldest first.
    waiting: Vec<(String, usize, Unit)>,
}

#[derive(Deserialize)]
struct Peek {
    #[serde(default)]
    act: Option<PeekAct>,
}

#[derive(Deserialize)]
struct PeekAct {
    id: String,
    parts: usize,
}

impl Acts {
    /// Takes the event of a line, or what should have been one, of which the server says what is
    /// wrong; gives what can be sent now.
    pub fn event(&mut self, line: u64, event: &[u8]) -> Option<Unit> {
        let act = serde_json::from_slice::<Peek>(event).ok().and_then(|peek| peek.act);
        let Some(act) = act.filter(|act| act.parts > 1) else {
            return Some(Unit { lines: vec![line], events: vec![event.to_vec()] });
        };
        let known = self.waiting.iter().position(|(id, _, _)| *id == act.id);
        let place = known.unwrap_or_else(|| {
            self.waiting.push((act.id, act.parts, Unit::default()));
            self.waiting.len() - 1
        });
        let (_, parts, unit) = &mut self.waiting[place];
        unit.lines.push(line);
        unit.events.push(event.to_vec());
        let is_whole = unit.events.len() >= *parts;
        let is_full = self.waiting.len() > WAITING_ACTS_MAX;
        (is_whole || is_full).then(|| self.waiting.remove(if is_whole { place } else { 0 }).2)
    }

    /// Acts that never became whole go out as they are: the server says what is missing.
    pub fn end(&mut self) -> impl Iterator<Item = Unit> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, _, unit)| unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_act_come_out_together() {
        let part = |id: &str, part: u8| {
            format!("{{\"act\":{{\"id\":\"{id}\",\"part\":{part},\"parts\":2}}}}")
        };
        let lines = [part("a", 0), "{\"x\":1}".into(), part("b", 0), part("a", 1), "torn".into()];
        let mut acts = Acts::default();
        let each = (1..).zip(&lines).filter_map(|(line, text)| acts.event(line, text.as_bytes()));
        let mut found: Vec<Unit> = each.collect();
        found.extend(acts.end());
        let numbers: Vec<&[u64]> = found.iter().map(|unit| unit.lines.as_slice()).collect();
        assert_eq!(numbers, [&[2][..], &[1, 4], &[5], &[3]]);
        assert_eq!(found[1].events[1], lines[3].as_bytes());
    }
}
