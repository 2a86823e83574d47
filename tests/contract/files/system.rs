//! Files of the operating system: atomic replacement, modes, links, and paths that cannot be used.

use wasserflow::io;
use wasserflow::observe::Checkpoint;
use wasserflow::prelude::*;

use super::*;

#[test]
fn errors_name_the_path_and_the_reason() {
    let folder = Folder::new("paths");
    let read = |path: &Path| io::read::<EmpiricalMeasure<f64>>(path).unwrap_err();
    let missing = folder.join("missing.npz");
    let error = read(&missing);
    assert!(error.is_not_found() && error.path() == missing);
    let error = read(&folder.0);
    assert!(
        error
            .to_string()
            .ends_with("cannot open the file: not a regular file"),
        "{error}"
    );
    assert!(!error.is_not_found());

    let empty = folder.join("empty.npz");
    fs::write(&empty, []).unwrap();
    let expected = format!(
        "{}: the size of the file must be at least 8 bytes, found 0",
        empty.display()
    );
    assert_eq!(read(&empty).to_string(), expected);

    let other = folder.join("mu.txt");
    let error = io::write(&other, &neurons(1)).unwrap_err();
    let expected = format!(
        "{}: the extension must be `safetensors` or `npz`, found txt",
        other.display()
    );
    assert_eq!(error.to_string(), expected);
    for path in [folder.join("none/mu.npz"), PathBuf::from("/.npz/..")] {
        assert!(io::write(&path, &neurons(1)).is_err());
    }
    let directory = folder.join("directory.npz");
    fs::create_dir(&directory).unwrap();
    assert!(io::write(&directory, &neurons(1)).is_err());
    assert_eq!(
        files(&folder.0),
        ["directory.npz", "empty.npz"],
        "no temporary file is left"
    );
}

/// Endless files, and those that wait for a writer, are not opened.
#[cfg(unix)]
#[test]
fn devices_are_refused() {
    for path in ["/dev/zero", "/dev/stdin"] {
        if !Path::new(path).exists() || Path::new(path).is_file() {
            continue;
        }
        let error = io::read::<EmpiricalMeasure<f64>>(path)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("{path}: cannot open the file: not a regular file")
        );
    }
}

/// A sparse file of 8 TiB or more. Systems that promise any amount of memory are exempt.
#[cfg(target_os = "linux")]
#[test]
fn a_file_beyond_the_memory_is_an_error() {
    let folder = Folder::new("sparse");
    let path = folder.join("huge.npz");
    let file = fs::File::create(&path).unwrap();
    let policy = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    let is_sparse = file.set_len(1 << 62).is_ok() || file.set_len(1 << 43).is_ok();
    if policy.trim() == "1" || !is_sparse {
        return;
    }
    let error = io::read::<EmpiricalMeasure<f64>>(&path)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot read the file: out of memory"),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn files_have_the_ordinary_mode_and_links_are_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::new("modes");
    let ordinary = folder.join("ordinary");
    fs::write(&ordinary, "x").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let path = folder.join("mu.npz");
    io::write(&path, &neurons(1)).unwrap();
    assert_eq!(mode(&path), mode(&ordinary));
    assert_ne!(
        mode(&path) & 0o444,
        0o400,
        "only the owner can read the file"
    );

    let link = folder.join("link.safetensors");
    let target = folder.join("target.safetensors");
    io::write(&target, &neurons(1)).unwrap();
    symlink(&target, &link).unwrap();
    io::write(&link, &neurons(2)).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(io::read::<EmpiricalMeasure<f64>>(&target).unwrap().len(), 2);
}

/// A reader never meets an incomplete file while another thread replaces it.
#[test]
fn a_reader_meets_complete_files_only() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let folder = Folder::in_memory("readers");
    let path = folder.join("mu.safetensors");
    io::write(&path, &neurons(1)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 1..3 {
            let (path, done) = (&path, &done);
            scope.spawn(move || {
                for m in 0..400 {
                    io::write(path, &neurons(1 + 1000 * writer + m)).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        let mut reads = 0;
        while !done.load(Ordering::Relaxed) {
            let mu: EmpiricalMeasure<f64> = io::read(&path).unwrap();
            assert!(mu.len() == 1 || mu.len() > 1000);
            reads += 1;
        }
        assert!(reads > 0);
    });
    assert_eq!(files(&folder.0), ["mu.safetensors"]);
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_the_run() {
    let folder = Folder::new("unwritable");
    let path = folder.join("none/state.npz");
    let mut checkpoint = Checkpoint::every_steps(&path, 2).unwrap();
    let mut flow = ParticleFlow::new(network(), Euler, 0.1).unwrap();
    let mut state = flow.start(neurons(2)).unwrap();
    let reason = flow.run(&mut state, 10, &mut checkpoint).unwrap();
    assert_eq!((reason, state.step()), (StopReason::NotSaved, 0));
    assert!(!reason.converged());
    let error = checkpoint.error().unwrap();
    assert!(error.is_not_found() && error.path() == path);

    // It goes on once the directory exists.
    fs::create_dir(folder.join("none")).unwrap();
    let reason = flow.run(&mut state, 10, &mut checkpoint).unwrap();
    assert_eq!((reason, state.step()), (StopReason::Steps, 10));
    assert!(checkpoint.error().is_none());
    assert_eq!(bytes(&Checkpoint::resume(&path).unwrap()), bytes(&state));
    assert!(Checkpoint::every_steps("state.json", 2).is_err());
}

#[test]
fn checkpoints_are_written_at_their_period() {
    let folder = Folder::new("periods");
    let path = folder.join("state.npz");
    let mut flow = ParticleFlow::new(network(), Euler, 0.1).unwrap();
    let mut state = flow.start(neurons(2)).unwrap();
    let mut steps = Vec::new();
    let mut checkpoint = Checkpoint::every_steps(&path, 4).unwrap();
    for _ in 0..3 {
        // Files of killed runs are removed by the first file of an observer; others are not.
        fs::write(folder.join(".state.npz.123-4.tmp"), "half").unwrap();
        fs::write(folder.join(".state.npz.txt.tmp"), "other").unwrap();
        checkpoint = Checkpoint::every_steps(&path, 4).unwrap();
        flow.run(&mut state, 3, &mut checkpoint).unwrap();
        steps.push(Checkpoint::resume::<f64>(&path).unwrap().step());
        assert_eq!(files(&folder.0), [".state.npz.txt.tmp", "state.npz"]);
    }
    assert_eq!(steps, [0, 4, 8]);
    checkpoint.save(&state).unwrap();
    assert_eq!(
        Checkpoint::resume::<f64>(checkpoint.path()).unwrap().step(),
        9
    );

    // At every step if no time has to pass, and only once in an hour.
    for (hours, last) in [(0, 14), (1, 14)] {
        let period = std::time::Duration::from_secs(3600 * hours);
        let mut timed = Checkpoint::every_period(&path, period).unwrap();
        flow.run(&mut state, 5, &mut timed).unwrap();
        assert_eq!(Checkpoint::resume::<f64>(&path).unwrap().step(), last);
    }
}
