//! From a layer as somebody wrote it to its rules, or to everything that is wrong with it.
//!
//! A problem says where it is by keys and indices, so that whoever has the text can name the line. It does not
//! repeat a value: those of a target's `CONFIG` are its own.
//!
//! Where the wrong part is left out and the rest taken, a rule with a condition that is wrong, or with a key that nobody
//! knows, is left out whole: without that it would hold for more than was meant.

use std::fmt;

use serde_json::{Map, Value};

/// Bytes of one text in a rule. Paths and names of models are shorter.
pub(crate) const MAX_TEXT_BYTES: usize = 256;

/// Rules of one layer: each is compared with each request's head, or with each process. Past it the layer is refused, or
/// its rest left out.
pub(crate) const MAX_RULES: usize = 256;

/// Choices of one condition, marks and headers of one rule.
pub(crate) const MAX_CHOICES: usize = 64;

/// Problems of one layer that are told; whoever mends these sees the others.
pub(crate) const MAX_PROBLEMS: usize = 32;

/// How like a known key another one must be that was meant for it, of 1.
const LIKENESS: f64 = 0.75;

/// A step to the place of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
}

/// Something that is wrong in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which layer: 0 is asked first.
    pub layer: usize,
    /// Where.
    pub at: Vec<Step>,
    /// The key itself is wrong, and not what it is set to.
    pub is_key: bool,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub fix: String,
}

impl fmt::Display for Problem {
    /// `rules[0].sample: WHAT`; the fix is a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.at.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{}", shown(key))?,
                Step::Key(key) => write!(f, ".{}", shown(key))?,
                Step::Index(at) => write!(f, "[{at}]")?,
            }
        }
        write!(f, ": {}\n  {}", self.what, self.fix)
    }
}

/// A key that somebody wrote, bounded and without control characters.
fn shown(key: &str) -> String {
    let clean = |c: char| if c.is_control() { '?' } else { c };
    key.chars().take(40).map(clean).collect()
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It has not the form that its key asks for.
    Value,
    /// It has, and is not taken for this reason.
    Because(&'static str),
}

/// A wrong value, by where it stands in what the key is set to.
pub(super) type Fault = (Vec<Step>, Wrong);

/// A key as the documents have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// It says what a table is for; else what becomes of that.
    pub is_condition: bool,
    /// What it is set to.
    pub form: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// A key of a table that becomes a `T`.
pub(super) struct TableKey<T> {
    pub(super) key: Key,
    pub(super) read: fn(&Value, &mut T) -> Vec<Fault>,
}

/// What the tables of a list are read into.
pub(super) trait Table: Default + 'static {
    /// The key of the list.
    const LIST: &'static str;
    /// Every key of a table, conditions first.
    const KEYS: &'static [TableKey<Self>];
    /// A table of conditions alone is a mistake.
    const NEEDS_A_SETTING: bool;

    /// It does something.
    fn says_something(&self) -> bool;

    /// All its keys were read. What does not go together is the error: at which key, and why.
    fn complete(&mut self) -> Result<(), (&'static str, &'static str)> {
        Ok(())
    }
}

/// What a table is read into of which a file has one.
pub(super) trait Section: Default + 'static {
    /// The key of the table.
    const NAME: &'static str;
    /// Every key in it.
    const KEYS: &'static [TableKey<Self>];
}

/// Declares the keys of a table: for the documents, and as they are read.
macro_rules! table_keys {
    ($(#[$doc:meta])* $shown:ident, $read_by:ident: $table:ty {
        $($name:literal, $is_condition:literal, $form:literal, $meaning:literal, $read:expr;)*
    }) => {
        $(#[$doc])*
        pub const $shown: &[$crate::rules::schema::Key] = &[$($crate::rules::schema::Key {
            name: $name,
            is_condition: $is_condition,
            form: $form,
            meaning: $meaning,
        },)*];

        const $read_by: &[$crate::rules::schema::TableKey<$table>] = &[
            $($crate::rules::schema::TableKey {
                key: $crate::rules::schema::Key {
                    name: $name,
                    is_condition: $is_condition,
                    form: $form,
                    meaning: $meaning,
                },
                read: $read,
            },)*
        ];
    };
}
pub(super) use table_keys;

/// Reads a list of tables. Gives what is right of it, and what is wrong.
pub(super) fn read_list<T: Table>(layer: usize, source: &Value) -> (Vec<T>, Vec<Problem>) {
    let mut reading = Reading::new(layer);
    let tables = reading.list(source);
    (tables, reading.problems)
}

/// Reads a layer that has one list, and keys that others read. Gives what is right of the list, and what is wrong.
pub(super) fn read<T: Table>(
    layer: usize,
    source: &Value,
    others: &[&str],
) -> (Vec<T>, Vec<Problem>) {
    let mut reading = Reading::new(layer);
    let tables = reading.layer(source, others);
    (tables, reading.problems)
}

/// Reads a section of several files, the first asked first: for each key the first decides that has it.
pub(super) fn read_section<T: Section>(files: &[(usize, &Value)]) -> (T, Vec<Problem>) {
    let known: Vec<&str> = T::KEYS.iter().map(|key| key.key.name).collect();
    let (mut section, mut problems) = (T::default(), Vec::new());
    let mut taken: Vec<&str> = Vec::new();
    for (layer, file) in files {
        let mut reading = Reading::new(*layer);
        let at = vec![Step::Key(T::NAME.into())];
        match file.get(T::NAME) {
            None => {}
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    match T::KEYS.iter().find(|key| key.key.name == name) {
                        None => reading.unknown_key(at.clone(), name, &known),
                        Some(TableKey { key, .. }) if taken.contains(&key.name) => {}
                        Some(TableKey { key, read }) => {
                            taken.push(key.name);
                            let faults = read(value, &mut section);
                            faults
                                .into_iter()
                                .for_each(|fault| reading.fault(&at, key, fault));
                        }
                    }
                }
            }
            Some(_) => reading.tell(at, false, "this is no table".into(), keys(&known)),
        }
        problems.append(&mut reading.problems);
    }
    (section, problems)
}

/// Whether a key of a section takes a value.
pub(super) fn takes<T: Section>(key: &str, value: &Value) -> bool {
    let key = T::KEYS.iter().find(|its| its.key.name == key);
    key.is_some_and(|key| (key.read)(value, &mut T::default()).is_empty())
}

struct Reading {
    layer: usize,
    problems: Vec<Problem>,
}

impl Reading {
    fn new(layer: usize) -> Reading {
        Reading {
            layer,
            problems: Vec::new(),
        }
    }

    fn layer<T: Table>(&mut self, source: &Value, others: &[&str]) -> Vec<T> {
        let known: Vec<&str> = [T::LIST].iter().chain(others).copied().collect();
        let Value::Object(map) = source else {
            self.tell(Vec::new(), false, "this is no table".into(), keys(&known));
            return Vec::new();
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.unknown_key(Vec::new(), key, &known);
        }
        map.get(T::LIST)
            .map_or_else(Vec::new, |list| self.list(list))
    }

    fn list<T: Table>(&mut self, source: &Value) -> Vec<T> {
        let at = vec![Step::Key(T::LIST.into())];
        let Value::Array(all) = source else {
            let fix = format!("begin each of them with [[{}]]", T::LIST);
            self.tell(at, false, "this is no list of tables".into(), fix);
            return Vec::new();
        };
        if all.len() > MAX_RULES {
            let at = [at, vec![Step::Index(MAX_RULES)]].concat();
            let fix = format!("{MAX_RULES} are taken; one rule may have several choices");
            self.tell(at, false, "there are too many rules".into(), fix);
        }
        let taken = all.iter().take(MAX_RULES).enumerate();
        taken
            .filter_map(|(i, source)| self.table(i, source))
            .collect()
    }

    /// `None`: it is not taken.
    fn table<T: Table>(&mut self, i: usize, source: &Value) -> Option<T> {
        let at = vec![Step::Key(T::LIST.into()), Step::Index(i)];
        let known: Vec<&str> = T::KEYS.iter().map(|key| key.key.name).collect();
        let Value::Object(map) = source else {
            self.tell(at, false, "this is no table".into(), keys(&known));
            return None;
        };
        let mut table = T::default();
        let mut is_sound = true;
        let mut has_setting = false;
        for (name, value) in map {
            match T::KEYS.iter().find(|key| key.key.name == name) {
                None => {
                    is_sound = false;
                    has_setting = true;
                    self.unknown_key(at.clone(), name, &known);
                }
                Some(TableKey { key, read }) => {
                    let faults = read(value, &mut table);
                    is_sound &= faults.is_empty() || !key.is_condition;
                    has_setting |= !key.is_condition;
                    faults
                        .into_iter()
                        .for_each(|fault| self.fault(&at, key, fault));
                }
            }
        }
        if is_sound && !has_setting && (T::NEEDS_A_SETTING || map.is_empty()) {
            let fix = format!("set one of {}", settings::<T>());
            self.tell(at, false, "this rule sets nothing".into(), fix);
            return None;
        }
        if let Err((name, why)) = table.complete()
            && let Some(TableKey { key, .. }) = T::KEYS.iter().find(|key| key.key.name == name)
        {
            self.fault(&at, key, (Vec::new(), Wrong::Because(why)));
            return None;
        }
        Some(table).filter(|table| is_sound && table.says_something())
    }

    fn fault(&mut self, at: &[Step], key: &Key, (inner, wrong): Fault) {
        let mut at = at.to_vec();
        at.push(Step::Key(key.name.into()));
        at.extend(inner);
        let (what, fix) = match wrong {
            Wrong::Value => (
                "this value is not taken".to_owned(),
                format!("it is {}", key.form),
            ),
            Wrong::Because(why) => (why.to_owned(), format!("`{}` is {}", key.name, key.form)),
        };
        self.tell(at, false, what, fix);
    }

    fn unknown_key(&mut self, mut at: Vec<Step>, key: &str, known: &[&str]) {
        let fix = match nearest(key, known) {
            Some(name) => format!("did you mean `{name}`? {}", keys(known)),
            None => keys(known),
        };
        at.push(Step::Key(key.to_owned()));
        self.tell(at, true, "there is no such key".into(), fix);
    }

    fn tell(&mut self, at: Vec<Step>, is_key: bool, what: String, fix: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem {
                layer: self.layer,
                at,
                is_key,
                what,
                fix,
            });
        }
    }
}

/// The known name that was meant by this one, if it is like one.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let like = |known: &&'k str| strsim::jaro_winkler(known, name);
    let nearest = known
        .iter()
        .copied()
        .max_by(|a, b| like(a).total_cmp(&like(b)));
    nearest.filter(|known| like(known) >= LIKENESS)
}

fn keys(known: &[&str]) -> String {
    let plural = if known.len() == 1 {
        "the key is"
    } else {
        "the keys are"
    };
    format!("{plural} {}", known.join(", "))
}

fn settings<T: Table>() -> String {
    let all = T::KEYS.iter().filter(|key| !key.key.is_condition);
    all.map(|key| key.key.name).collect::<Vec<_>>().join(", ")
}

/// Reads a text, or a list of texts.
pub(super) fn texts<T>(
    value: &Value,
    into: &mut Vec<T>,
    read: impl Fn(&str) -> Result<T, Wrong>,
) -> Vec<Fault> {
    let one = |value: &Value| read(value.as_str().ok_or(Wrong::Value)?);
    list(value, into, one)
}

/// Reads a value, or a list of values.
pub(super) fn list<T>(
    value: &Value,
    into: &mut Vec<T>,
    read: impl Fn(&Value) -> Result<T, Wrong>,
) -> Vec<Fault> {
    let Value::Array(all) = value else {
        return match read(value) {
            Ok(one) => {
                into.push(one);
                Vec::new()
            }
            Err(wrong) => vec![(Vec::new(), wrong)],
        };
    };
    if all.is_empty() || all.len() > MAX_CHOICES {
        return vec![(
            Vec::new(),
            Wrong::Because("a list has from 1 to 64 entries"),
        )];
    }
    let mut faults = Vec::new();
    for (i, value) in all.iter().enumerate() {
        match read(value) {
            Ok(one) => into.push(one),
            Err(wrong) => faults.push((vec![Step::Index(i)], wrong)),
        }
    }
    faults
}

/// Reads a table of texts by name.
pub(super) fn table<T>(
    map: &Map<String, Value>,
    into: &mut Vec<T>,
    read: impl Fn(&str, &str) -> Result<T, Wrong>,
) -> Vec<Fault> {
    if map.is_empty() || map.len() > MAX_CHOICES {
        return vec![(
            Vec::new(),
            Wrong::Because("a table has from 1 to 64 entries"),
        )];
    }
    let mut faults = Vec::new();
    for (name, value) in map {
        match value
            .as_str()
            .ok_or(Wrong::Value)
            .and_then(|text| read(name, text))
        {
            Ok(one) => into.push(one),
            Err(wrong) => faults.push((vec![Step::Key(name.clone())], wrong)),
        }
    }
    faults
}
