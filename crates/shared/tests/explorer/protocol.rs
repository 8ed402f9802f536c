//! The protocol as a machine: what a process does with its next shared access.

/// Processes there can be.
pub(crate) const PROCESSES: usize = 3;
pub(crate) const RECORDS: usize = 2;
const _: () = assert!(RECORDS == 2, "`record` counts to two");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum State {
    #[default]
    Free,
    Claimed,
    Live,
    Dying,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Meta {
    pub(crate) state: State,
    pub(crate) owner: u8,
    incarnation: u8,
}

impl Meta {
    pub(crate) fn next(self, owner: u8, state: State) -> Self {
        Self { state, owner, incarnation: self.incarnation + 1 }
    }

    pub(crate) fn is_client(self) -> bool {
        matches!(self.state, State::Live | State::Dying)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Record {
    pub(crate) meta: Meta,
    pub(crate) key: u8,
    pub(crate) lanes: [u8; PROCESSES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Header {
    version: u8,
    pub(crate) valid: u8,
}

impl Header {
    pub(crate) fn holds(self, record: u8) -> bool {
        self.valid >> record & 1 == 1
    }
}

/// What all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Memory {
    pub(crate) header: Header,
    pub(crate) records: [Record; RECORDS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Acquire(u8),
    /// Of the oldest permit, if there is one.
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Whoever finds its place dying goes on as if it were alive.
    NoCancel,
    NoLookAfterRaise,
    /// A client is published although another was, since it was found absent.
    NoVersion,
    /// From alive to claimed in one step.
    TakeWithoutDying,
    /// F1: the bit of the header is read before the word only.
    OldBitFinds,
    /// F2: the same, for who takes a place.
    OldBitTakes,
    /// F3: who cancelled a death does not look at the key.
    CancelProvesTheKey,
    /// F4: the sweeper stores where it must exchange.
    SweepStores,
    SweepLeavesDying,
    /// A raise on a place that went to another client stays.
    NoUndo,
}

/// Why a record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// It is the preferred one.
    Probe,
    Search(Header),
    /// After a raise.
    Confirm,
}

/// The access that a process makes next, with what it remembers. `h` is the header under which the client was absent, `i`
/// a record, `m` its word as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    Word { why: Why, i: u8 },
    Key { why: Why, i: u8, m: Meta },
    Bit { why: Why, i: u8, m: Meta },
    Again { why: Why, i: u8, m: Meta },
    Header,
    Presum { i: u8, m: Meta, lane: u8, sum: u8 },
    StillFull { i: u8, m: Meta },
    Raise { i: u8, m: Meta },
    Look { i: u8, m: Meta },
    Cancel { i: u8, m: Meta, dying: Meta },
    Sum { i: u8, lane: u8, sum: u8, own: u8 },
    Lower { i: u8, own: u8 },
    Undo { i: u8 },
    FindFree { h: Header, i: u8 },
    Claim { h: Header, i: u8, m: Meta },
    TakeWord { h: Header, i: u8 },
    TakeBit { h: Header, i: u8, m: Meta },
    TakeSum { h: Header, i: u8, m: Meta, lane: u8, sum: u8 },
    Mark { h: Header, i: u8, m: Meta },
    TakeSumAgain { h: Header, i: u8, m: Meta, lane: u8, sum: u8 },
    TakeEnd { h: Header, i: u8, m: Meta, none: bool },
    Hide { h: Header, i: u8, m: Meta },
    Full { h: Header },
    Put { h: Header, i: u8, m: Meta },
    RaiseNew { h: Header, i: u8, m: Meta },
    SetLive { h: Header, i: u8, m: Meta },
    ReadHeader { h: Header, i: u8, m: Meta },
    Publish { h: Header, i: u8, m: Meta, now: Header },
    SetFree { i: u8, m: Meta },
    GiveBack { i: u8 },
}

/// The start of an admission: all clients prefer the first record.
pub(crate) const START: At = At::Word { why: Why::Probe, i: 0 };

/// What comes of an access.
pub(crate) enum Next {
    At(At),
    Admitted(u8),
    Refused,
}

pub(crate) struct Protocol {
    pub(crate) programs: Vec<&'static [Op]>,
    pub(crate) limit: u8,
    pub(crate) deaths: u8,
    pub(crate) sweeper_deaths: u8,
    pub(crate) fault: Fault,
}

/// The next record after those before `from` whose bit is `set`.
fn record(h: Header, from: u8, set: bool) -> Option<u8> {
    (from..2).find(|i| h.holds(*i) == set)
}

impl Protocol {
    /// One shared access of process `me`, which counts a connection of `key`.
    #[expect(
        clippy::too_many_lines,
        clippy::match_same_arms,
        reason = "a step is an arm, in the order of the protocol"
    )]
    pub(crate) fn access(&self, memory: &mut Memory, me: u8, key: u8, at: At) -> Next {
        use At::*;
        let lanes = u8::try_from(self.programs.len()).expect("few");
        let (header, records) = (&mut memory.header, &mut memory.records);
        let place = |i: u8| usize::from(i);
        let mine = usize::from(me);
        Next::At(match at {
            // A look, as with a sequence lock.
            Word { why, i } => match records[place(i)].meta {
                m if m.is_client() => Key { why, i, m },
                _ => self.other(why, i),
            },
            Key { why, i, m } if records[place(i)].key == key => match (self.fault, why) {
                (Fault::OldBitFinds, Why::Probe | Why::Search(_)) => Again { why, i, m },
                _ => Bit { why, i, m },
            },
            Key { why, i, .. } => self.other(why, i),
            Bit { why, i, m } if header.holds(i) => Again { why, i, m },
            Again { why: Why::Confirm, i, m } if records[place(i)].meta == m => Look { i, m },
            Again { i, m, .. } if records[place(i)].meta == m => Presum { i, m, lane: 0, sum: 0 },
            Bit { why, i, .. } | Again { why, i, .. } => match why {
                Why::Probe | Why::Search(_) => Header,
                Why::Confirm => self.undo(i),
            },
            Header => self.search(*header, 0),

            // The client is in record `i`.
            Presum { i, m, lane, sum } => match sum + records[place(i)].lanes[place(lane)] {
                sum if lane + 1 < lanes => Presum { i, m, lane: lane + 1, sum },
                sum if sum >= self.limit => StillFull { i, m },
                _ => Raise { i, m },
            },
            StillFull { i, m } if records[place(i)].meta == m => return Next::Refused,
            StillFull { .. } => START,
            Raise { i, m } => {
                records[place(i)].lanes[mine] += 1;
                if self.fault == Fault::NoLookAfterRaise { Sum { i, lane: 0, sum: 0, own: 0 } } else { Look { i, m } }
            }
            Look { i, m } => match records[place(i)].meta {
                dying if dying.state == State::Dying && self.fault != Fault::NoCancel => Cancel { i, m, dying },
                now if now == m => Sum { i, lane: 0, sum: 0, own: 0 },
                _ => Word { why: Why::Confirm, i },
            },
            Cancel { i, m, dying } => {
                let cancelled = dying.next(me, State::Live);
                let won = replace(&mut records[place(i)].meta, &dying, cancelled);
                Look { i, m: if won && self.fault == Fault::CancelProvesTheKey { cancelled } else { m } }
            }
            Sum { i, lane, sum, own } => {
                let count = records[place(i)].lanes[place(lane)];
                let (sum, own) = (sum + count, if lane == me { count } else { own });
                match sum {
                    _ if lane + 1 < lanes => Sum { i, lane: lane + 1, sum, own },
                    sum if sum <= self.limit => return Next::Admitted(i),
                    _ => Lower { i, own },
                }
            }
            Lower { i, own } => {
                if replace(&mut records[place(i)].lanes[mine], &own, own - 1) {
                    return Next::Refused;
                }
                Sum { i, lane: 0, sum: 0, own: 0 }
            }
            Undo { i } => {
                records[place(i)].lanes[mine] -= 1;
                START
            }

            // The client was absent under header `h`.
            FindFree { h, i } => match records[place(i)].meta {
                m if m.state == State::Free => Claim { h, i, m },
                _ => self.next_free(h, i + 1),
            },
            Claim { h, i, m } => {
                let claimed = m.next(me, State::Claimed);
                if replace(&mut records[place(i)].meta, &m, claimed) {
                    Put { h, i, m: claimed }
                } else {
                    self.next_free(h, i + 1)
                }
            }
            TakeWord { h, i } => match records[place(i)].meta {
                m if m.state == State::Live && self.fault == Fault::OldBitTakes => TakeSum { h, i, m, lane: 0, sum: 0 },
                m if m.state == State::Live => TakeBit { h, i, m },
                _ => self.next_take(h, i + 1),
            },
            TakeBit { h, i, m } if header.holds(i) => TakeSum { h, i, m, lane: 0, sum: 0 },
            TakeBit { h, i, .. } => self.next_take(h, i + 1),
            TakeSum { h, i, m, lane, sum } => match sum + records[place(i)].lanes[place(lane)] {
                sum if lane + 1 < lanes => TakeSum { h, i, m, lane: lane + 1, sum },
                0 => Mark { h, i, m },
                _ => self.next_take(h, i + 1),
            },
            Mark { h, i, m } => {
                let at_once = self.fault == Fault::TakeWithoutDying;
                let to = m.next(me, if at_once { State::Claimed } else { State::Dying });
                match replace(&mut records[place(i)].meta, &m, to) {
                    true if at_once => Hide { h, i, m: to },
                    true => TakeSumAgain { h, i, m: to, lane: 0, sum: 0 },
                    false => self.next_take(h, i + 1),
                }
            }
            TakeSumAgain { h, i, m, lane, sum } => match sum + records[place(i)].lanes[place(lane)] {
                sum if lane + 1 < lanes => TakeSumAgain { h, i, m, lane: lane + 1, sum },
                sum => TakeEnd { h, i, m, none: sum == 0 },
            },
            TakeEnd { h, i, m, none } => {
                let to = m.next(me, if none { State::Claimed } else { State::Live });
                if replace(&mut records[place(i)].meta, &m, to) && none {
                    Hide { h, i, m: to }
                } else {
                    self.next_take(h, i + 1)
                }
            }
            Hide { h, i, m } => {
                header.valid &= !(1 << i);
                Put { h, i, m }
            }
            Full { h } if header.version == h.version => return Next::Refused,
            Full { .. } => START,
            Put { h, i, m } => {
                records[place(i)].key = key;
                RaiseNew { h, i, m }
            }
            RaiseNew { h, i, m } => {
                records[place(i)].lanes[mine] += 1;
                SetLive { h, i, m }
            }
            SetLive { h, i, m } => {
                let m = m.next(me, State::Live);
                records[place(i)].meta = m;
                ReadHeader { h, i, m }
            }
            ReadHeader { h, i, m } => self.publish(h, i, m, *header),
            Publish { h, i, m, now } => {
                let to = self::Header { version: now.version + 1, valid: now.valid | 1 << i };
                if replace(header, &now, to) {
                    return Next::Admitted(i);
                }
                self.publish(h, i, m, *header)
            }
            SetFree { i, m } => {
                records[place(i)].meta = m.next(me, State::Free);
                GiveBack { i }
            }
            GiveBack { i } => {
                records[place(i)].lanes[mine] -= 1;
                START
            }
        })
    }

    fn other(&self, why: Why, i: u8) -> At {
        match why {
            Why::Probe => At::Header,
            Why::Search(h) => self.search(h, i + 1),
            Why::Confirm => self.undo(i),
        }
    }

    fn undo(&self, i: u8) -> At {
        if self.fault == Fault::NoUndo { START } else { At::Undo { i } }
    }

    fn search(&self, h: Header, from: u8) -> At {
        match record(h, from, true) {
            Some(i) => At::Word { why: Why::Search(h), i },
            None => self.next_free(h, 0),
        }
    }

    fn next_free(&self, h: Header, from: u8) -> At {
        match record(h, from, false) {
            Some(i) => At::FindFree { h, i },
            None => self.next_take(h, 0),
        }
    }

    #[expect(clippy::unused_self, reason = "like its kin")]
    fn next_take(&self, h: Header, from: u8) -> At {
        match record(h, from, true) {
            Some(i) => At::TakeWord { h, i },
            None => At::Full { h },
        }
    }

    fn publish(&self, h: Header, i: u8, m: Meta, now: Header) -> At {
        if now.version == h.version || self.fault == Fault::NoVersion {
            At::Publish { h, i, m, now }
        } else {
            At::SetFree { i, m }
        }
    }
}

/// Compare and exchange.
pub(crate) fn replace<T: PartialEq>(word: &mut T, from: &T, to: T) -> bool {
    let equal = word == from;
    if equal {
        *word = to;
    }
    equal
}
