//! What must not compile. Each file in `compile_fail/` says why in its first line.

#[test]
fn these_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
