//! How fast one core answers the benchmark's graph questions when nothing is in the way: arrays
//! of numbers, no strings, no SQL, no wire, no commits. `rustc -O limit.rs`, then
//! `limit GRAPH SECONDS`; each line of output is a question, its answer and milliseconds.
//!
//! GRAPH is little endian u32s: nodes, edges, seeds, pairs; then the sources, the targets, the
//! groups and values of nodes, the seeds, and the pairs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

struct Graph {
    out: Lists,
    back: Lists,
    group: Vec<u32>,
    value: Vec<u32>,
    seeds: Vec<u32>,
    pairs: Vec<(u32, u32)>,
}

struct Lists {
    offsets: Vec<u32>,
    targets: Vec<u32>,
}

impl Lists {
    fn build(nodes: usize, from: &[u32], to: &[u32]) -> Lists {
        let mut offsets = vec![0u32; nodes + 1];
        from.iter().for_each(|node| offsets[*node as usize + 1] += 1);
        (0..nodes).for_each(|node| offsets[node + 1] += offsets[node]);
        let mut next = offsets.clone();
        let mut targets = vec![0; from.len()];
        for (node, target) in from.iter().zip(to) {
            targets[next[*node as usize] as usize] = *target;
            next[*node as usize] += 1;
        }
        Lists { offsets, targets }
    }

    fn of(&self, node: u32) -> &[u32] {
        &self.targets[self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize]
    }

    fn nodes(&self) -> usize {
        self.offsets.len() - 1
    }
}

/// A set of numbers that forgets all of them at once.
struct Marks {
    round: u32,
    of: Vec<u32>,
}

impl Marks {
    fn new(nodes: usize) -> Marks {
        Marks { round: 0, of: vec![0; nodes] }
    }

    fn clear(&mut self) {
        self.round += 1;
    }

    fn insert(&mut self, node: u32) -> bool {
        std::mem::replace(&mut self.of[node as usize], self.round) != self.round
    }
}

/// The ends of walks of so many edges, each once.
fn walks(graph: &Graph, seed: u32, hops: usize, marks: &mut Marks) -> Vec<u32> {
    let mut level = vec![seed];
    for _ in 0..hops {
        marks.clear();
        let mut next = Vec::new();
        for node in level {
            next.extend(graph.out.of(node).iter().filter(|target| marks.insert(**target)));
        }
        level = next;
    }
    level
}

/// How many nodes are at each distance.
fn levels(graph: &Graph, start: u32, marks: &mut Marks) -> Vec<usize> {
    marks.clear();
    marks.insert(start);
    let (mut level, mut counts) = (vec![start], Vec::new());
    while !level.is_empty() {
        counts.push(level.len());
        let mut next = Vec::new();
        for node in level {
            next.extend(graph.out.of(node).iter().filter(|target| marks.insert(**target)));
        }
        level = next;
    }
    counts
}

/// The length of a shortest path, found from both ends; 0 if there is none.
fn distance(graph: &Graph, from: u32, to: u32, marks: &mut [Marks; 2]) -> usize {
    if from == to {
        return 0;
    }
    let mut levels = [vec![from], vec![to]];
    for (marks, level) in marks.iter_mut().zip(&levels) {
        marks.clear();
        marks.insert(level[0]);
    }
    let edges = |lists: &Lists, level: &[u32]| -> usize { level.iter().map(|node| lists.of(*node).len()).sum() };
    for length in 1.. {
        let side = usize::from(edges(&graph.back, &levels[1]) < edges(&graph.out, &levels[0]));
        let lists = [&graph.out, &graph.back][side];
        let mut next = Vec::new();
        for node in &levels[side] {
            for target in lists.of(*node) {
                if marks[side].insert(*target) {
                    if marks[1 - side].of[*target as usize] == marks[1 - side].round {
                        return length;
                    }
                    next.push(*target);
                }
            }
        }
        if next.is_empty() {
            return 0;
        }
        levels[side] = next;
    }
    0
}

/// Triangles of the graph without directions, from nodes with few neighbours to those with more.
fn triangles(graph: &Graph) -> usize {
    let nodes = graph.out.nodes();
    let neighbours: Vec<Vec<u32>> = (0..nodes as u32)
        .map(|node| {
            let mut all: Vec<u32> = graph.out.of(node).iter().chain(graph.back.of(node)).copied().collect();
            all.sort_unstable();
            all.dedup();
            all.retain(|other| *other != node);
            all
        })
        .collect();
    let rank = |node: u32| (neighbours[node as usize].len(), node);
    let up: Vec<Vec<u32>> = (0..nodes as u32)
        .map(|node| neighbours[node as usize].iter().filter(|other| rank(**other) > rank(node)).copied().collect())
        .collect();
    let mut marks = Marks::new(nodes);
    let mut count = 0;
    for node in 0..nodes {
        marks.clear();
        up[node].iter().for_each(|other| _ = marks.insert(*other));
        for second in &up[node] {
            count += up[*second as usize].iter().filter(|third| marks.of[**third as usize] == marks.round).count();
        }
    }
    count
}

/// Rings of three edges, each from each of its nodes.
fn rings(graph: &Graph) -> usize {
    let mut marks = Marks::new(graph.out.nodes());
    let mut count = 0;
    for node in 0..graph.out.nodes() as u32 {
        marks.clear();
        graph.back.of(node).iter().for_each(|before| _ = marks.insert(*before));
        for second in graph.out.of(node) {
            count += graph.out.of(*second).iter().filter(|third| marks.of[**third as usize] == marks.round).count();
        }
    }
    count
}

fn pagerank(graph: &Graph) -> Vec<f64> {
    let nodes = graph.out.nodes();
    let mut ranks = vec![1.0 / nodes as f64; nodes];
    for _ in 0..20 {
        let mut lost = 0.0;
        let shares: Vec<f64> = (0..nodes as u32)
            .map(|node| {
                let edges = graph.out.of(node).len();
                if edges == 0 {
                    lost += ranks[node as usize];
                }
                ranks[node as usize] / edges.max(1) as f64
            })
            .collect();
        for node in 0..nodes as u32 {
            let sum: f64 = graph.back.of(node).iter().map(|from| shares[*from as usize]).sum();
            ranks[node as usize] = (0.15 + 0.85 * lost) / nodes as f64 + 0.85 * sum;
        }
    }
    ranks
}

fn components(graph: &Graph) -> usize {
    fn root(parents: &mut [u32], mut node: u32) -> u32 {
        while parents[node as usize] != node {
            parents[node as usize] = parents[parents[node as usize] as usize];
            node = parents[node as usize];
        }
        node
    }
    let mut parents: Vec<u32> = (0..graph.out.nodes() as u32).collect();
    let mut count = parents.len();
    for node in 0..graph.out.nodes() as u32 {
        for target in graph.out.of(node) {
            let (left, right) = (root(&mut parents, node), root(&mut parents, *target));
            count -= usize::from(left != right);
            parents[left.max(right) as usize] = left.min(right);
        }
    }
    count
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let bytes = std::fs::read(&arguments[1]).expect("a file");
    let seconds: f64 = arguments[2].parse().expect("seconds");
    let mut words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().expect("four bytes")));
    let mut take = |count: usize| -> Vec<u32> { words.by_ref().take(count).collect() };
    let counts: Vec<usize> = take(4).into_iter().map(|count| count as usize).collect();
    let (src, dst) = (take(counts[1]), take(counts[1]));
    let graph = Graph {
        out: Lists::build(counts[0], &src, &dst),
        back: Lists::build(counts[0], &dst, &src),
        group: take(counts[0]),
        value: take(counts[0]),
        seeds: take(counts[2]),
        pairs: take(2 * counts[3]).chunks(2).map(|pair| (pair[0], pair[1])).collect(),
    };
    let mut marks = [Marks::new(counts[0]), Marks::new(counts[0])];
    let mut timed = |name: &str, question: &mut dyn FnMut(&mut [Marks; 2]) -> usize| {
        let (mut best, mut answer) = (Duration::MAX, 0);
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        while best == Duration::MAX || Instant::now() < until {
            let started = Instant::now();
            answer = std::hint::black_box(question(&mut marks));
            best = best.min(started.elapsed());
        }
        println!("{name} {answer} {:.6}", best.as_secs_f64() * 1e3);
    };
    let seeds = &graph.seeds;
    timed("lookup", &mut |_| seeds.iter().map(|seed| graph.value[*seed as usize] as usize).sum());
    for hops in 1..=3 {
        let count = &mut |marks: &mut [Marks; 2]| seeds.iter().map(|seed| walks(&graph, *seed, hops, &mut marks[0]).len()).sum();
        timed(&format!("hop{hops}"), count);
    }
    timed("hop2_each", &mut |marks| seeds.iter().map(|seed| walks(&graph, *seed, 2, &mut marks[0]).len()).sum());
    timed("hop2_groups", &mut |marks| {
        let mut groups: BTreeMap<u32, usize> = BTreeMap::new();
        for seed in seeds {
            let ends = walks(&graph, *seed, 2, &mut marks[0]);
            for end in ends.into_iter().filter(|end| graph.value[*end as usize] >= 500) {
                *groups.entry(graph.group[end as usize]).or_default() += 1;
            }
        }
        let mut sizes: Vec<usize> = groups.into_values().collect();
        sizes.sort_unstable_by(|left, right| right.cmp(left));
        sizes.iter().take(10).sum()
    });
    timed("reach", &mut |marks| levels(&graph, seeds[0], &mut marks[0])[1..].iter().sum());
    timed("levels", &mut |marks| levels(&graph, seeds[0], &mut marks[0]).get(3).copied().unwrap_or(0));
    timed("pairs", &mut |marks| graph.pairs.iter().map(|(from, to)| distance(&graph, *from, *to, marks)).sum());
    timed("triangles", &mut |_| triangles(&graph));
    timed("rings", &mut |_| rings(&graph));
    timed("pagerank", &mut |_| pagerank(&graph).len().min(10));
    timed("components", &mut |_| components(&graph));
    timed("groups", &mut |_| {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        graph.group.iter().for_each(|group| *counts.entry(*group).or_default() += 1);
        counts.len()
    });
    timed("degrees", &mut |_| {
        let mut degrees: Vec<u32> = graph.out.offsets.windows(2).map(|ends| ends[1] - ends[0]).collect();
        degrees.sort_unstable_by(|left, right| right.cmp(left));
        degrees.iter().take(10).map(|degree| *degree as usize).sum()
    });
}
