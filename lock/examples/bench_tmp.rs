fn main() {
    let path = std::env::args().nth(1).unwrap();
    let n: u32 = std::env::args().nth(2).unwrap().parse().unwrap();
    let locks = session_lock::LockDir::open(&path).unwrap();
    for _ in 0..1000 {
        locks.lock("x").blocking().unwrap().release().unwrap();
    }
    let t = std::time::Instant::now();
    for _ in 0..n {
        locks.lock("x").blocking().unwrap().release().unwrap();
    }
    println!("{:?} per op", t.elapsed() / n);
}
