//! Tests of what of the process' own memory is let go of.

use super::*;

/// As the kernel writes it, with fewer of its lines.
const SMAPS: &str = "\
55d25c31c000-55d25cde9000 r--p 00000000 08:01 4711                       /opt/my cox/cox
Rss:                4816 kB
Anonymous:             0 kB
Swap:                  0 kB
SwapPss:               0 kB
VmFlags: rd mr mw me
55d25cde9000-55d25f20d000 r-xp 00acc000 08:01 4711                       /opt/my cox/cox
Rss:               25816 kB
Anonymous:             0 kB
Swap:                  0 kB
55d25f20d000-55d25f317000 r--p 02eef000 08:01 4711                       /opt/my cox/cox
Rss:                1064 kB
Anonymous:          1064 kB
Swap:                  0 kB
55d25f317000-55d25f31d000 rw-p 02ff8000 08:01 4711                       /opt/my cox/cox
Anonymous:             0 kB
Swap:                  0 kB
7f597a600000-7f597ae00000 r--p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
7f597c964000-7f597caba000 r-xp 00026000 08:01 815                        /usr/lib/x86_64-linux-gnu/libc.so.6
Anonymous:             0 kB
Swap:                  0 kB
7f597d000000-7f597d001000 r--s 00000000 08:01 816                        /var/cache/shared
Anonymous:             0 kB
Swap:                  0 kB
7f597e000000-7f597e001000 r--p 00001000 08:01 817                        /usr/lib/swapped.so
Anonymous:             0 kB
Swap:                  4 kB
7ffd6b7fe000-7ffd6b800000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
Swap:                  0 kB
";

#[test]
fn only_what_files_have_unchanged_is_let_go_of() {
    let expected =
        [0x55d2_5c31_c000..0x55d2_5cde_9000, 0x55d2_5cde_9000..0x55d2_5f20_d000, 0x7f59_7c96_4000..0x7f59_7cab_a000];
    assert_eq!(unchanged(SMAPS), expected);
    assert!(unchanged("nonsense\n-\nAnonymous: 0 kB\nSwap: 0 kB\n").is_empty());
}

#[test]
fn what_was_let_go_of_is_there_when_it_is_used() {
    let own = std::fs::read_to_string("/proc/self/smaps").unwrap();
    assert!(!unchanged(&own).is_empty(), "{own}");
    release_code().unwrap();
    // Relocated tables and code of this and other libraries are used here.
    let text = format!("{:?}", std::fs::metadata("/proc/self/smaps").unwrap());
    assert!(text.contains("Metadata"), "{text}");
}
