//! `expand yes`: what a program's words become, and where from.

#[path = "support/lar.rs"]
mod lar;

use std::process::Command;

use lar::{Lar, Scratch, answer};

#[test]
fn words_get_the_variables_that_the_program_will_have() {
    let dir = Scratch::new();
    dir.write("env", "FROM_FILE=file\nBOTH=file\n");
    let config = "<service shop:web>\n instances 2\n expand yes\n transcript {dir}/out@%i\n prefix no\n type oneshot\n \
                  program printf '%%s|' $FROM_FILE ${BOTH} $$HOME $LAR_INSTANCE ${LAR_SERVICE}:x \
                  \"${UNSET:-some thing}\" ${EMPTY:-filled} \"a $SPACED b\" $MARK\n \
                  environment-file {dir}/env\n \
                  <environment>\n  BOTH explicit\n  EMPTY\n  SPACED two words\n </environment>\n</service>\n\
                  <service plain>\n transcript {dir}/plain\n prefix no\n type oneshot\n \
                  program echo $HOME $$\n</service>\n\
                  <service last>\n program sleep 1000\n</service>\n";
    let mut lar = Lar::run_in(dir, "", config, |command| {
        command.env("MARK", "inherited");
    });
    lar.wait("shop:web=exited plain=exited");
    for number in ["1", "2"] {
        let expected = format!(
            "file|explicit|$HOME|{number}|shop:web:x|some thing|filled|a two words b|inherited|"
        );
        assert_eq!(lar.dir.read(&format!("out@{number}")), expected);
    }
    assert_eq!(lar.dir.read("plain"), "$HOME $$\n", "otherwise a $ is a $");
    // One more than was planned has its own number, too.
    lar.ask("scale shop:web 3").expect(0);
    lar.wait("shop:web@3=exited");
    assert!(lar.dir.read("out@3").contains("|3|shop:web:x|"));
    assert_eq!(lar.shut_down(), 0);
}

#[test]
fn a_variable_that_is_missing_is_an_error_in_the_file() {
    let dir = Scratch::new();
    let file = dir.write(
        "lar.conf",
        "<service web>\n program echo $PRT ${NONE} ${1x} ${open $\n expand yes\n inherit-environment no\n \
         <environment>\n  PORT 80\n </environment>\n</service>\n",
    );
    let mut command = Command::new(lar::LAR);
    command.arg("check").arg(file).env("NONE", "set, but not inherited");
    let told = answer(&mut command).expect(6);
    let text = told.out + &told.err;
    for expected in [
        ":2:15: error: `PRT` is not set in the environment of this service",
        "did you mean `$PORT`?",
        "`NONE` is not set in the environment of this service",
        "`${NONE:-something}` says what to take then",
        "`1x` can't be the name of a variable",
        "`}` is missing after `${`",
        "a lone `$` stands for nothing",
        "a plain `$` is written `$$` here",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}
