//! What cgroup v1 counts (Linux, Documentation/admin-guide/cgroup-v1; runc's package cgroups/fs).

use std::collections::BTreeMap;

use super::{
    Blkio, BlkioEntry, Cpu, CpuUsage, Cpuset, Hugetlb, Memory, MemoryEntry, Pids, Stats,
    Throttling, huge_page_sizes,
};
use crate::cgroup::files::Files;
use crate::id_list::IdList;

/// `cpuacct.stat` counts in ticks of USER_HZ, which is 100 wherever Linux runs containers.
const NANOSECONDS_A_TICK: u64 = 10_000_000;

pub fn stats(files: &impl Files) -> Stats {
    Stats {
        cpu: cpu(files),
        cpuset: cpuset(files),
        memory: memory(files),
        pids: pids(files),
        blkio: blkio(files),
        hugetlb: hugetlb(files, &huge_page_sizes()),
        ..Stats::default()
    }
}

fn cpu(files: &impl Files) -> Cpu {
    let throttling: BTreeMap<_, _> = files.table("cpu.stat").into_iter().collect();
    let of = |key: &str| throttling.get(key).copied().unwrap_or(0);
    let modes: BTreeMap<_, _> = files.table("cpuacct.stat").into_iter().collect();
    let ticks = |key: &str| modes.get(key).copied().unwrap_or(0) * NANOSECONDS_A_TICK;
    let percpu = files.read("cpuacct.usage_percpu").unwrap_or_default();
    let (percpu_user, percpu_kernel) = percpu_modes(files);
    Cpu {
        usage: CpuUsage {
            total: files.number("cpuacct.usage").unwrap_or(0),
            percpu: percpu
                .split_whitespace()
                .filter_map(|n| n.parse().ok())
                .collect(),
            percpu_kernel,
            percpu_user,
            kernel: ticks("system"),
            user: ticks("user"),
        },
        throttling: Throttling {
            periods: of("nr_periods"),
            throttled_periods: of("nr_throttled"),
            throttled_time: of("throttled_time"),
        },
        psi: None,
    }
}

/// User and kernel time of each CPU: lines `cpu user system` behind a header.
fn percpu_modes(files: &impl Files) -> (Vec<u64>, Vec<u64>) {
    let text = files.read("cpuacct.usage_all").unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(' ').skip(1).map(str::parse::<u64>);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    text.lines().skip(1).filter_map(line).unzip()
}

fn cpuset(files: &impl Files) -> Cpuset {
    let number = |key: &str| files.number(&format!("cpuset.{key}")).unwrap_or(0);
    let list = |key: &str| {
        let list = files.read(&format!("cpuset.{key}")).unwrap_or_default();
        let list = IdList::parse(&list).unwrap_or_default();
        list.ids().collect()
    };
    let level = files.read("cpuset.sched_relax_domain_level");
    Cpuset {
        cpus: list("cpus"),
        cpu_exclusive: number("cpu_exclusive"),
        mems: list("mems"),
        mem_hardwall: number("mem_hardwall"),
        mem_exclusive: number("mem_exclusive"),
        memory_migrate: number("memory_migrate"),
        memory_spread_page: number("memory_spread_page"),
        memory_spread_slab: number("memory_spread_slab"),
        memory_pressure: number("memory_pressure"),
        sched_load_balance: number("sched_load_balance"),
        sched_relax_domain_level: level.and_then(|text| text.parse().ok()).unwrap_or(0),
    }
}

fn memory(files: &impl Files) -> Memory {
    let raw: BTreeMap<_, _> = files.table("memory.stat").into_iter().collect();
    let entry = |kind: &str| {
        let number = |key: &str| files.number(&format!("memory{kind}.{key}")).unwrap_or(0);
        MemoryEntry {
            limit: number("limit_in_bytes"),
            usage: number("usage_in_bytes"),
            max: number("max_usage_in_bytes"),
            failcnt: number("failcnt"),
        }
    };
    Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: entry(""),
        swap: entry(".memsw"),
        kernel: entry(".kmem"),
        kernel_tcp: entry(".kmem.tcp"),
        raw,
        psi: None,
    }
}

/// The same on v2.
pub fn pids(files: &impl Files) -> Pids {
    Pids {
        current: files.number("pids.current").unwrap_or(0),
        limit: files
            .number("pids.max")
            .filter(|max| *max != u64::MAX)
            .unwrap_or(0),
    }
}

/// The counters of the scheduler that counts, or those of the throttling layer.
fn blkio(files: &impl Files) -> Blkio {
    for family in ["bfq.", "", "throttle."] {
        let entries = |name: &str| blkio_entries(files, &format!("blkio.{family}{name}"));
        let serviced = entries("io_serviced_recursive");
        if serviced.is_empty() {
            continue;
        }
        return Blkio {
            io_service_bytes_recursive: entries("io_service_bytes_recursive"),
            io_serviced_recursive: serviced,
            io_queue_recursive: entries("io_queued_recursive"),
            io_service_time_recursive: entries("io_service_time_recursive"),
            io_wait_time_recursive: entries("io_wait_time_recursive"),
            io_merged_recursive: entries("io_merged_recursive"),
            io_time_recursive: entries("time_recursive"),
            sectors_recursive: entries("sectors_recursive"),
            psi: None,
        };
    }
    Blkio {
        io_service_bytes_recursive: blkio_entries(files, "blkio.throttle.io_service_bytes"),
        io_serviced_recursive: blkio_entries(files, "blkio.throttle.io_serviced"),
        ..Blkio::default()
    }
}

/// Lines `8:0 Read 12` or `8:0 12`; the total behind them is none of a device.
fn blkio_entries(files: &impl Files, file: &str) -> Vec<BlkioEntry> {
    let text = files.read(file).unwrap_or_default();
    let entry = |line: &str| {
        let fields: Vec<_> = line.split([' ', ':']).collect();
        let (op, value) = match fields.as_slice() {
            [_, _, value] => ("", value),
            [_, _, op, value] => (*op, value),
            _ => return None,
        };
        Some(BlkioEntry {
            major: fields[0].parse().ok()?,
            minor: fields[1].parse().ok()?,
            op: op.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

fn hugetlb(files: &impl Files, sizes: &[String]) -> BTreeMap<String, Hugetlb> {
    let of = |size: &String| {
        let number = |kind: &str, key: &str| files.number(&format!("hugetlb.{size}{kind}.{key}"));
        // Reserved pages are what counts, where the kernel counts them.
        let kind = match number(".rsvd", "usage_in_bytes") {
            Some(_) => ".rsvd",
            None => "",
        };
        let stats = Hugetlb {
            usage: number(kind, "usage_in_bytes")?,
            max: number(kind, "max_usage_in_bytes").unwrap_or(0),
            failcnt: number(kind, "failcnt").unwrap_or(0),
        };
        Some((size.clone(), stats))
    };
    sizes.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([
            ("cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 1"),
            ("cpuacct.stat", "user 4\nsystem 5"),
            ("cpuacct.usage", "77"),
            ("cpuacct.usage_percpu", "70 7"),
            ("cpuacct.usage_all", "cpu user system\n0 60 10\n1 5 2"),
            ("cpuset.cpus", "0-1,3"),
            ("cpuset.mems", "0"),
            ("cpuset.sched_relax_domain_level", "-1"),
            ("memory.stat", "cache 9\nrss 8"),
            ("memory.limit_in_bytes", "100"),
            ("memory.usage_in_bytes", "50"),
            ("memory.memsw.limit_in_bytes", "200"),
            ("memory.kmem.tcp.failcnt", "1"),
            ("pids.current", "2"),
            ("pids.max", "max"),
            ("blkio.bfq.io_serviced_recursive", "Total 0"),
            (
                "blkio.throttle.io_serviced_recursive",
                "8:0 Read 3\n8:0 Total 3\nTotal 3",
            ),
            (
                "blkio.throttle.io_service_bytes_recursive",
                "8:0 Read 4096\nTotal 4096",
            ),
            ("hugetlb.2MB.usage_in_bytes", "1"),
            ("hugetlb.2MB.rsvd.usage_in_bytes", "5"),
            ("hugetlb.2MB.rsvd.failcnt", "6"),
        ])
    }

    #[test]
    fn every_counter_has_its_key() {
        let all = stats(&cgroup());
        assert_eq!(all.cpu.usage.total, 77);
        assert_eq!(
            (all.cpu.usage.user, all.cpu.usage.kernel),
            (40_000_000, 50_000_000)
        );
        assert_eq!(all.cpu.usage.percpu, [70, 7]);
        assert_eq!(all.cpu.usage.percpu_user, [60, 5]);
        assert_eq!(all.cpu.usage.percpu_kernel, [10, 2]);
        assert_eq!(all.cpu.throttling.throttled_periods, 2);
        assert_eq!(
            (all.cpuset.cpus, all.cpuset.sched_relax_domain_level),
            (vec![0, 1, 3], -1)
        );
        assert_eq!((all.memory.cache, all.memory.usage.usage), (9, 50));
        assert_eq!(
            (all.memory.swap.limit, all.memory.kernel_tcp.failcnt),
            (200, 1)
        );
        assert_eq!(all.memory.raw["rss"], 8);
        assert_eq!((all.pids.current, all.pids.limit), (2, 0));
    }

    #[test]
    fn a_scheduler_that_counts_nothing_leaves_it_to_the_throttling_layer() {
        let blkio = blkio(&cgroup());
        let ops: Vec<_> = blkio
            .io_serviced_recursive
            .iter()
            .map(|e| e.op.as_str())
            .collect();
        assert_eq!(ops, ["Read", "Total"]);
        assert_eq!(blkio.io_service_bytes_recursive[0].value, 4096);
    }

    #[test]
    fn reserved_huge_pages_are_what_counts() {
        let stats = hugetlb(&cgroup(), &["2MB".into(), "1GB".into()]);
        assert_eq!(stats.len(), 1);
        assert_eq!((stats["2MB"].usage, stats["2MB"].failcnt), (5, 6));
    }
}
