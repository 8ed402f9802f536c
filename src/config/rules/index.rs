//! Which piece of the number line does a key fall into, and what is the answer there?
//!
//! The answers are a step function of the address, so a table of the places where it changes holds all of it. A
//! binary search there takes a dozen steps, each waiting for the one before. So a node cuts its stretch of the line
//! into slots of equal width, about as many as there are places, and most keys are a shift and three reads from
//! their answer. Rules come in clusters, though: a slot with many places is a node of its own, which begins at the first
//! and ends at the last of them.
//!
//! A key before the first place of such a node is led to its first slot, one beyond the last to its last. That is
//! right, since the places themselves are compared in the end: all before the slot are below the key, all after it
//! above.

use core::ops::{Range, Shr, Sub};

/// Places that are compared at once, without a jump, at the end of each look-up.
const AT_ONCE: usize = 4;

/// A function that is constant between places, and constant from the last place on.
pub(super) struct Index<K, V> {
    /// Where the answer changes, from zero on; the last one is repeated for reading [`AT_ONCE`] from anywhere.
    places: Vec<K>,
    /// The answer from each place on.
    answers: Vec<V>,
    slots: Vec<Slot>,
    /// The first one is the root.
    nodes: Vec<Node<K>>,
}

/// What is in a slot, as twice an index, and one more if it is a node's. Half the size of the enum it stands for,
/// which makes a look-up among 10,000 crowded rules twice as fast.
#[derive(Clone, Copy)]
struct Slot(usize);

enum Content {
    /// No more than [`AT_ONCE`] places; this one is the next at or above the slot's beginning.
    Places(usize),
    Node(usize),
}

impl Slot {
    const fn places(next: usize) -> Self {
        Self(next << 1)
    }

    const fn node(node: usize) -> Self {
        Self(node << 1 | 1)
    }

    #[inline]
    const fn content(self) -> Content {
        if self.0 & 1 == 0 { Content::Places(self.0 >> 1) } else { Content::Node(self.0 >> 1) }
    }
}

/// The slots `at..=at + last`, each 2<sup>`shift`</sup> wide, from `first` on.
struct Node<K> {
    first: K,
    shift: u32,
    at: usize,
    last: usize,
}

/// An address as a number.
pub(super) trait Key:
    Copy + Ord + From<u8> + TryInto<usize> + Sub<Output = Self> + Shr<u32, Output = Self>
{
}

impl Key for u32 {}
impl Key for u128 {}

impl<K: Key> Node<K> {
    /// The slot for `key`; the nearest one if it is outside.
    #[inline]
    fn slot(&self, key: K) -> usize {
        index((key.max(self.first) - self.first) >> self.shift).min(self.last)
    }
}

impl<K: Key, V: PartialEq + Clone> Index<K, V> {
    /// The function `answer`, which changes nowhere but at `places`.
    pub(super) fn new(places: impl IntoIterator<Item = K>, answer: impl Fn(K) -> V) -> Self {
        let mut places: Vec<K> = core::iter::once(K::from(0)).chain(places).collect();
        places.sort_unstable();
        let mut pieces: Vec<(K, V)> = places.into_iter().map(|place| (place, answer(place))).collect();
        pieces.dedup_by(|next, kept| next.1 == kept.1);
        let (places, answers) = pieces.into_iter().unzip();
        let mut index = Self { places, answers, slots: Vec::new(), nodes: Vec::new() };
        // Zero is on the way to no other place: left out, it does not spread the first cut over half the numbers.
        let others = usize::from(index.places.len() > 1);
        index.add_node(others..index.places.len());
        for _ in 0..AT_ONCE {
            index.places.extend_from_within(index.places.len() - 1..);
            index.answers.extend_from_within(index.answers.len() - 1..);
        }
        index
    }

    /// The answer for `key`.
    #[inline]
    pub(super) fn get(&self, key: K) -> &V {
        let mut node = &self.nodes[0];
        loop {
            match self.slots[node.at + node.slot(key)].content() {
                Content::Node(inner) => node = &self.nodes[inner],
                Content::Places(next) => {
                    let passed = self.places[next..][..AT_ONCE].iter().filter(|&&place| place <= key).count();
                    // Not below zero: if `next` is the first place, it is zero, and no key is below that.
                    return &self.answers[next + passed - 1];
                }
            }
        }
    }

    /// Adds a node for the places in `range`, of which there is at least one, and says where it is.
    fn add_node(&mut self, range: Range<usize>) -> usize {
        let first = self.places[range.start];
        let span = self.places[range.end - 1] - first;
        // The finest cut into no more than twice as many slots as places. It has more slots than half of that, or is
        // as fine as can be; so places that do not fit into one slot are in different ones, and this comes to an end.
        let mut shift = 0;
        while index(span >> shift) >= 2 * range.len() {
            shift += 1;
        }
        let (this, at, last) = (self.nodes.len(), self.slots.len(), index(span >> shift));
        self.nodes.push(Node { first, shift, at, last });
        self.slots.resize(at + last + 1, Slot::places(range.start));
        let mut next = range.start;
        for slot in 0..=last {
            let is_here = |&&place: &&K| self.nodes[this].slot(place) == slot;
            let end = next + self.places[next..range.end].iter().take_while(is_here).count();
            self.slots[at + slot] =
                if end - next <= AT_ONCE { Slot::places(next) } else { Slot::node(self.add_node(next..end)) };
            next = end;
        }
        this
    }
}

/// As an index; the last there is when it is larger.
#[inline]
fn index<K: Key>(number: K) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}
