//! Calls that may fail only as documented, within a time limit.

use std::any::Any;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::{Api, Panics};

/// The time that one call may take, far above that of any call of the suite.
const LIMIT: Duration = Duration::from_secs(60);

/// The message of a panic in a callback of the suite.
pub const PLANTED: &str = "planted panic";

/// Messages of panics of the language, of `std` and of nalgebra: not those of a documented check.
const UNDOCUMENTED: [&str; 25] = [
    "index out of bounds",
    "out of range for slice",
    "out of range of slice",
    "slice index starts",
    "range start",
    "range end",
    "attempt to",
    "capacity overflow",
    "called `",
    "unreachable code",
    "not implemented",
    "not yet implemented",
    "assertion failed",
    "assertion `left == right` failed\n",
    "assertion `left != right` failed\n",
    "already borrowed",
    "already mutably borrowed",
    "mid >",
    "slices have different lengths",
    "source slice length",
    "Matrix",
    "imension mismatch",
    "hunk size",
    "divisor of zero",
    "overflow",
];

thread_local! {
    /// Panics of a call are judged, not printed.
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
}

/// The calls of the suite and their failures.
pub struct Suite<'a> {
    api: &'a Api,
    calls: Mutex<BTreeMap<&'static str, usize>>,
    failures: Mutex<Vec<String>>,
    /// The running call of each group.
    running: Vec<Mutex<Option<(String, Instant)>>>,
}

thread_local! {
    static GROUP: Cell<usize> = const { Cell::new(0) };
}

impl<'a> Suite<'a> {
    pub fn new(api: &'a Api) -> Self {
        Self {
            api,
            calls: Mutex::default(),
            failures: Mutex::default(),
            running: (0..16).map(|_| Mutex::default()).collect(),
        }
    }

    /// Runs groups of calls, each on a thread of its own. A call beyond the time limit ends the
    /// process, with its name: a thread cannot be stopped.
    pub fn run(&self, groups: &[fn(&Suite<'_>)]) {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Panics on threads of the library are carried to the caller.
            let judged = IN_CALL.get() || thread::current().name() != Some("group");
            if !judged {
                previous(info);
            }
        }));
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for (group, calls) in groups.iter().enumerate() {
                let done = &done;
                let work = move || {
                    GROUP.set(group);
                    let result = panic::catch_unwind(AssertUnwindSafe(|| calls(self)));
                    done.fetch_add(1, Ordering::Relaxed);
                    if let Err(panic) = result {
                        self.fail(format!("group {group} stopped: {}", message(&*panic)));
                    }
                };
                let thread = thread::Builder::new()
                    .name("group".into())
                    .stack_size(16 << 20);
                thread.spawn_scoped(scope, work).unwrap();
            }
            while done.load(Ordering::Relaxed) < groups.len() {
                thread::sleep(Duration::from_millis(50));
                for running in &self.running {
                    if let Some((call, start)) = &*running.lock().unwrap()
                        && start.elapsed() > LIMIT
                    {
                        self.print_failures();
                        eprintln!("more than {LIMIT:?}: {call}");
                        std::process::exit(1);
                    }
                }
            }
        });
        drop(panic::take_hook());
    }

    /// Calls a public function; `None` if it panics, which is a failure unless documented.
    pub fn call<R>(
        &self,
        function: &'static str,
        arguments: impl Debug,
        f: impl FnOnce() -> R,
    ) -> Option<R> {
        *self.calls.lock().unwrap().entry(function).or_default() += 1;
        let call = format!("{function} at {arguments:?}");
        let running = &self.running[GROUP.get()];
        *running.lock().unwrap() = Some((call.clone(), Instant::now()));
        let outer = IN_CALL.replace(true);
        let result = panic::catch_unwind(AssertUnwindSafe(f));
        IN_CALL.set(outer);
        *running.lock().unwrap() = None;
        match result {
            Ok(value) => Some(value),
            Err(panic) => {
                let message = message(&*panic);
                let language = UNDOCUMENTED.iter().any(|text| message.contains(text));
                let documented = match self.api.panics(function) {
                    Panics::Never => false,
                    Panics::Checked => !language,
                    Panics::AsIndexing => true,
                };
                if !documented && !message.contains(PLANTED) {
                    self.fail(format!("{call}: panic `{message}`"));
                }
                None
            }
        }
    }

    /// Records a failure unless `holds`.
    pub fn check(&self, holds: bool, what: &str, found: impl Debug) {
        if !holds {
            self.fail(format!("{what}: found {found:?}"));
        }
    }

    fn fail(&self, failure: String) {
        self.failures.lock().unwrap().push(failure);
    }

    /// The functions that were called.
    pub fn called(&self) -> BTreeSet<String> {
        let calls = self.calls.lock().unwrap();
        calls.keys().map(|&name| name.to_owned()).collect()
    }

    /// Fails with the first failures of every function.
    pub fn assert_no_failures(&self) {
        self.print_failures();
        let failures = self.failures.lock().unwrap().len();
        let calls: usize = self.calls.lock().unwrap().values().sum();
        println!("{} functions, {calls} calls", self.called().len());
        assert!(failures == 0, "{failures} of {calls} calls failed");
    }

    fn print_failures(&self) {
        const SHOWN: usize = 3;
        let failures = self.failures.lock().unwrap();
        let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
        for failure in failures.iter() {
            let function = failure.split([':', '(']).next().unwrap_or(failure);
            let function = function.split(" at ").next().unwrap_or(function);
            let count = shown.entry(function).or_default();
            *count += 1;
            if *count <= SHOWN {
                let end = failure
                    .char_indices()
                    .nth(700)
                    .map_or(failure.len(), |(i, _)| i);
                eprintln!("{}", &failure[..end]);
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "not a text".to_owned(),
    }
}

/// Numbers of every kind.
pub const NUMBERS: [f64; 17] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    f64::MIN_POSITIVE,
    1e-160,
    1e-40,
    1.0,
    -1.0,
    1e20,
    1e40,
    1e160,
    f64::MAX,
    f64::MIN,
];

/// Counts: a few, and those whose bytes exceed the address space, with products that wrap to small
/// numbers. Counts between may succeed, or end the process for want of memory.
pub const COUNTS: [usize; 8] = [0, 1, 2, 3, 1 << 61, 1 << 62, 1 << 63, usize::MAX];
