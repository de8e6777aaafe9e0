//! What cgroup v2 counts (Linux, Documentation/admin-guide/cgroup-v2.rst; runc's package
//! cgroups/fs2), under the names that v1 has for it.

use std::collections::BTreeMap;

use super::v1::pids;
use super::{
    Blkio, BlkioEntry, Cpu, CpuUsage, Hugetlb, Memory, MemoryEntry, Pids, Psi, PsiData, Stats,
    Throttling, huge_page_sizes,
};
use crate::cgroup::files::Files;

pub fn stats(files: &impl Files) -> Stats {
    Stats {
        cpu: cpu(files),
        memory: memory(files),
        pids: match files.has("pids.current") {
            true => pids(files),
            false => counted(files),
        },
        blkio: blkio(files),
        hugetlb: hugetlb(files, &huge_page_sizes()),
        ..Stats::default()
    }
}

/// Without the controller there is a list to count.
fn counted(files: &impl Files) -> Pids {
    let list = files
        .read("cgroup.procs")
        .or_else(|| files.read("cgroup.threads"));
    Pids {
        current: list.unwrap_or_default().lines().count() as u64,
        limit: 0,
    }
}

fn cpu(files: &impl Files) -> Cpu {
    let table: BTreeMap<_, _> = files.table("cpu.stat").into_iter().collect();
    let of = |key: &str| table.get(key).copied().unwrap_or(0);
    let nanoseconds = |key: &str| of(key).saturating_mul(1000);
    Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: psi(files, "cpu.pressure"),
    }
}

fn memory(files: &impl Files) -> Memory {
    let raw: BTreeMap<_, _> = files.table("memory.stat").into_iter().collect();
    let entry = |kind: &str| {
        let number = |key: &str| files.number(&format!("memory{kind}.{key}")).unwrap_or(0);
        MemoryEntry {
            limit: number("max"),
            usage: number("current"),
            max: number("peak"),
            failcnt: 0,
        }
    };
    let usage = entry("");
    // v1 counts memory and swap together; of the peaks there is no sum.
    let only = entry(".swap");
    let limit = match only.limit {
        u64::MAX => u64::MAX,
        limit => limit.saturating_add(usage.limit),
    };
    Memory {
        cache: raw.get("file").copied().unwrap_or(0),
        swap: MemoryEntry {
            limit,
            usage: only.usage.saturating_add(usage.usage),
            max: 0,
            failcnt: 0,
        },
        usage,
        raw,
        psi: psi(files, "memory.pressure"),
        ..Memory::default()
    }
}

/// Lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`.
fn blkio(files: &impl Files) -> Blkio {
    let mut blkio = Blkio {
        psi: psi(files, "io.pressure"),
        ..Blkio::default()
    };
    for line in files.read("io.stat").unwrap_or_default().lines() {
        let mut fields = line.split(' ');
        let node = fields.next().and_then(|node| node.split_once(':'));
        let Some((Ok(major), Ok(minor))) = node.map(|(a, b)| (a.parse(), b.parse())) else {
            continue;
        };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let (table, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                _ => continue,
            };
            if let Ok(value) = value.parse() {
                let op = op.to_owned();
                table.push(BlkioEntry {
                    major,
                    minor,
                    op,
                    value,
                });
            }
        }
    }
    blkio
}

fn hugetlb(files: &impl Files, sizes: &[String]) -> BTreeMap<String, Hugetlb> {
    let of = |size: &String| {
        let number = |key: &str| files.number(&format!("hugetlb.{size}{key}"));
        let events = files.table(&format!("hugetlb.{size}.events"));
        let failed = events.into_iter().find(|(key, _)| key == "max");
        let stats = Hugetlb {
            usage: number(".rsvd.current").or_else(|| number(".current"))?,
            max: 0,
            failcnt: failed.map_or(0, |(_, count)| count),
        };
        Some((size.clone(), stats))
    };
    sizes.iter().filter_map(of).collect()
}

/// Lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`; nothing where the kernel counts none.
fn psi(files: &impl Files, file: &str) -> Option<Psi> {
    let text = files.read(file)?;
    let mut psi = Psi::default();
    for line in text.lines() {
        let (kind, fields) = line.split_once(' ')?;
        let data = match kind {
            "some" => &mut psi.some,
            "full" => &mut psi.full,
            _ => continue,
        };
        *data = psi_data(fields);
    }
    Some(psi)
}

fn psi_data(fields: &str) -> PsiData {
    let mut data = PsiData::default();
    for (key, value) in fields.split(' ').filter_map(|field| field.split_once('=')) {
        let average = value.parse().unwrap_or(0.0);
        match key {
            "avg10" => data.avg10 = average,
            "avg60" => data.avg60 = average,
            "avg300" => data.avg300 = average,
            "total" => data.total = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            (
                "cpu.stat",
                "usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 3\nthrottled_usec 1",
            ),
            (
                "cpu.pressure",
                "some avg10=0.50 avg60=1.25 avg300=0.00 total=77\nfull avg10=2.00",
            ),
            ("memory.stat", "file 9\nanon 8"),
            ("memory.current", "50"),
            ("memory.max", "100"),
            ("memory.peak", "60"),
            ("memory.swap.current", "5"),
            ("memory.swap.max", "10"),
            ("cgroup.procs", "1\n2\n3"),
            (
                "io.stat",
                "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\nbad",
            ),
            ("hugetlb.2MB.current", "1"),
            ("hugetlb.2MB.rsvd.current", "5"),
            ("hugetlb.2MB.events", "max 6"),
        ])
    }

    #[test]
    fn times_are_nanoseconds() {
        let cpu = cpu(&cgroup());
        assert_eq!(
            (cpu.usage.total, cpu.usage.user, cpu.usage.kernel),
            (9000, 5000, 4000)
        );
        assert_eq!(
            (cpu.throttling.periods, cpu.throttling.throttled_time),
            (3, 1000)
        );
    }

    #[test]
    fn swap_is_the_sum_of_memory_and_swap() {
        let mut files = cgroup();
        let swap = memory(&files).swap;
        assert_eq!((swap.usage, swap.limit, swap.max), (55, 110, 0));
        files.insert("memory.swap.max", "max");
        assert_eq!(memory(&files).swap.limit, u64::MAX);
        assert_eq!((memory(&files).cache, memory(&files).usage.max), (9, 60));
    }

    #[test]
    fn pressure_is_told_where_the_kernel_counts_it() {
        let psi = psi(&cgroup(), "cpu.pressure").unwrap();
        assert_eq!(
            (psi.some.avg60, psi.some.total, psi.full.avg10),
            (1.25, 77, 2.0)
        );
        assert!(super::psi(&cgroup(), "io.pressure").is_none());
    }

    #[test]
    fn tasks_are_counted_where_there_is_no_controller() {
        assert_eq!(
            stats(&cgroup()).pids,
            Pids {
                current: 3,
                limit: 0
            }
        );
        let mut files = cgroup();
        files.extend([("pids.current", "7"), ("pids.max", "9")]);
        assert_eq!(
            stats(&files).pids,
            Pids {
                current: 7,
                limit: 9
            }
        );
    }

    #[test]
    fn block_devices_have_v1s_names() {
        let blkio = blkio(&cgroup());
        let text = |entries: &[BlkioEntry]| {
            let text = |e: &BlkioEntry| format!("{}:{} {} {}", e.major, e.minor, e.op, e.value);
            entries.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(
            text(&blkio.io_service_bytes_recursive),
            ["8:0 Read 1", "8:0 Write 2"]
        );
        assert_eq!(
            text(&blkio.io_serviced_recursive),
            ["8:0 Read 3", "8:0 Write 4"]
        );
    }

    #[test]
    fn huge_pages_that_were_refused_are_counted() {
        let stats = hugetlb(&cgroup(), &["2MB".into()]);
        assert_eq!((stats["2MB"].usage, stats["2MB"].failcnt), (5, 6));
    }
}
