//! Where the functions of a program are, by the map that its linker wrote.

use std::collections::BTreeMap;

/// The names of functions by where they begin: several where these are the same code.
pub type Functions = BTreeMap<u64, Vec<String>>;

/// The functions in a map of LLVM's linker (`-Map`, `--no-demangle`). Its lines have addresses, sizes and
/// alignment, and then, by their distance from the margin, an output section, a section of an input file,
/// or a symbol in it.
pub fn functions(map: &str) -> Functions {
    let mut functions = Functions::new();
    let mut in_text = false;
    for line in map.lines() {
        let mut fields = line.split_whitespace();
        let address = fields
            .next()
            .and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let (Some(address), Some(name)) = (address, fields.nth(3)) else {
            continue;
        };
        if name.contains(":(") {
            in_text = name.contains(":(.text");
        } else if name.starts_with('.') {
            in_text = false;
        } else if in_text && fields.next().is_none() {
            functions.entry(address).or_default().push(name.to_owned());
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_text_are_functions() {
        let map = "
             VMA              LMA     Size Align Out     In      Symbol
               0                0    2e000     1 .rodata
               0                0       10     1         a.o:(.rodata.x)
              10               10        0     1                 table
            1000             1000    2e000    16 .text
            1000             1000       20    16         a.o:(.text._RNvA)
            1000             1000       20     1                 _RNvA
            1000             1000       20     1                 _RNvB
            1020             1020       10    16         libc.a(x.o):(.text.memcpy)
            1020             1020       10     1                 memcpy
            3000             3000       10     1 .data
            3000             3000       10     1         a.o:(.data.y)
            3000             3000       10     1                 y
";
        let expected = Functions::from([
            (0x1000, vec!["_RNvA".to_owned(), "_RNvB".to_owned()]),
            (0x1020, vec!["memcpy".to_owned()]),
        ]);
        assert_eq!(functions(map), expected);
    }
}
