//! Plans in the options of a backend's name.

use ndk_backend_sim::plan::Plan;
use ndk_core::backend::{BackendName, Options};
use ndk_core::{ErrorKind, Result};
use std::fs;

fn read(options: &str) -> Result<Plan> {
    let name: BackendName = format!("sim?{options}").parse()?;
    let mut options = Options::of(&name);
    let plan = Plan::take(&mut options)?;
    options.finish()?;
    Ok(plan)
}

/// The plan that a text of TOML gives.
fn toml(text: &str) -> Plan {
    text.parse().unwrap()
}

#[test]
fn compact_forms_say_the_same_as_a_file() {
    for (options, text) in [
        ("latency=100us", "latency.all = '100us'"),
        ("latency=inline", "latency.all = 'inline'"),
        ("latency=register:50us..200us", "latency.register = '50us..200us'"),
        (
            "latency=1us,create-mr:inline,read:~20us,write:~20us..1.5ms",
            "latency = { all = '1us', create-mr = 'inline', read = '~20us', write = '~20us..1.5ms' }",
        ),
        (
            "fault=register:3:insufficient-resources",
            "fault = [{ operation = 'register', nth = 3, status = 'insufficient-resources' }]",
        ),
        (
            "fault=all:every-10:timeout:inline",
            "fault = [{ operation = 'all', every = 10, status = 'timeout', when = 'inline' }]",
        ),
        (
            "fault=write:0.05:access-violation:pending",
            "fault = [{ operation = 'write', share = 0.05, status = 'access-violation', when = 'pending' }]",
        ),
        (
            "fault=write:1.0:0xc0000001",
            "fault = [{ operation = 'write', share = 1.0, status = '0xC0000001' }]",
        ),
        (
            "fault=deregister:2:device-busy:late-5ms",
            "fault = [{ operation = 'deregister', nth = 2, status = 'device-busy', complete-late = '5ms' }]",
        ),
        (
            "fault=close-mr:every-2:late-5ms,bind:1:internal",
            "fault = [{ operation = 'close-mr', every = 2, complete-late = '5ms' },
                      { operation = 'bind', nth = 1, status = 'internal' }]",
        ),
        ("lose-adapter=100", "lose-adapter.after = 100"),
        ("lose-adapter=5ms", "lose-adapter.at = '5ms'"),
        ("lose-adapter=5ms,100", "lose-adapter = { after = 100, at = '5ms' }"),
        (
            "regions=1000&pinned-pages=64&tokens=0",
            "limits = { regions = 1000, pinned-pages = 64, tokens = 0 }",
        ),
        ("keys=one", "tokens.keys = 'one'"),
        ("keys=two&rotate=true", "tokens = { keys = 'two', rotate = true }"),
    ] {
        assert_eq!(read(options), Ok(toml(text)), "{options}");
    }
    assert_eq!(
        "sim".parse().map(|name| Plan::take(&mut Options::of(&name))),
        Ok(Ok(Plan::default()))
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    for (options, reason) in [
        ("latency=", "\"\" is no duration"),
        ("latency=soon", "a latency is inline, 100us, 50us..200us"),
        ("latency=register", "a latency is inline"),
        ("latency=registr:1us", "there are: all, create-pd, create-mr, register"),
        ("latency=1us,2us", "the latency of all is given twice"),
        ("latency=read:1us,read:2us", "the latency of read is given twice"),
        ("latency=1us,", "\"\" is no duration"),
        ("fault=", "less than three parts"),
        ("fault=register", "less than three parts"),
        ("fault=register:3", "a status, or complete-late"),
        ("fault=registr:3:timeout", "no operation is named \"registr\""),
        ("fault=register:third:timeout", "3 for the third, every-3, or a share such as 0.05"),
        ("fault=register:0:timeout", "\"0\" says not which occurrence"),
        ("fault=register:every-0:timeout", "\"every-0\" says not which occurrence"),
        ("fault=register::timeout", "\"\" says not which occurrence"),
        ("fault=register:-1:timeout", "between 0 and 1"),
        ("fault=register:1.5:timeout", "between 0 and 1"),
        ("fault=register:nan:timeout", "between 0 and 1"),
        ("fault=register:3:oops", "there are: access-violation, "),
        ("fault=register:3:timeout:cancelled", "\"cancelled\" is one effect too many"),
        ("fault=register:3:timeout:inline:pending", "\"pending\" is one effect too many"),
        ("fault=register:3:timeout:inline:late-1us", "cannot complete late"),
        ("fault=register:3:late-soon", "\"soon\" is no duration"),
        ("fault=close-mr:3:timeout", "it cannot fail (H1)"),
        ("lose-adapter=0", "\"0\" is no duration"),
        ("lose-adapter=1,2", "says twice"),
        ("regions=many", "the most regions at a time"),
        ("region=1", "regions: the most regions at a time"),
        ("keys=1", "there are one and two"),
        ("rotate=yes", "changes its low 8 bits with each round"),
        ("plan=no/such/file.toml", "the plan no/such/file.toml: "),
    ] {
        let error = read(options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter, "{options}");
        assert!(error.detail().contains(reason), "{options}: {}", error.detail());
    }
}

#[test]
fn options_go_on_top_of_the_file_beside_them() {
    let path = std::env::temp_dir().join(format!("ndk-plan-{}.toml", std::process::id()));
    let text = "latency = { all = '1us', read = '2us' }
                fault = [{ operation = 'read', nth = 1, status = 'timeout' }]
                limits = { regions = 10, tokens = 10 }
                tokens = { keys = 'one', rotate = true }
                lose-adapter.after = 5";
    fs::write(&path, text).unwrap();
    let options = format!(
        "plan={}&latency=9us&fault=write:1:timeout&regions=7&rotate=false&lose-adapter=1s",
        path.display()
    );
    let plan = read(&options);
    fs::remove_file(&path).unwrap();
    let expected = "latency = { all = '9us', read = '2us' }
                    fault = [{ operation = 'read', nth = 1, status = 'timeout' },
                             { operation = 'write', nth = 1, status = 'timeout' }]
                    limits = { regions = 7, tokens = 10 }
                    tokens = { keys = 'one', rotate = false }
                    lose-adapter = { after = 5, at = '1s' }";
    assert_eq!(plan, Ok(toml(expected)));
}
