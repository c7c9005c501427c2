'use strict';

// A worker in JavaScript. What it is started with and what it writes stand in worker.rs.

const fs = require('fs');

const NOT_COUNTED = 2n ** 64n - 1n;
const BACK_OFF_MS = 50;

const now = () => process.hrtime.bigint();
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Functions that acquire and release. */
function openPeer(name, path) {
    if (name === 'proper-lockfile') {
        const lockfile = require('proper-lockfile');
        let release = null;
        const options = { realpath: false, retries: { forever: true } };
        return {
            acquire: async () => { release = await lockfile.lock(path, options); },
            release: () => release(),
        };
    }
    let handle = null;
    return {
        acquire: async () => {
            for (;;) {
                try {
                    handle = await fs.promises.open(`${path}.lock`, 'wx');
                    break;
                } catch (error) {
                    if (error.code !== 'EEXIST') throw error;
                    await sleep(BACK_OFF_MS);
                }
            }
            await handle.writeFile(JSON.stringify({ pid: process.pid, createdAt: new Date().toISOString() }));
        },
        release: async () => {
            await handle.close();
            await fs.promises.rm(`${path}.lock`, { force: true });
        },
    };
}

async function own(name, directory, session) {
    const peer = openPeer(name, `${directory}/${session}`);
    fs.writeSync(1, 'asking\n');
    await peer.acquire();
    fs.writeSync(1, `${now()}\n`);
    await sleep(60000);
}

async function work(name, directory, session, holdUs, thinkMaxUs, start, until, seed, out) {
    const peer = openPeer(name, `${directory}/${session}`);
    const holdNs = 1000n * BigInt(holdUs);
    const thinkMaxMs = Number(thinkMaxUs) / 1000;
    const stamps = [];
    const ready = now();
    await sleep(Math.max(0, Number(BigInt(start) - ready) / 1e6));
    let cpu;
    if (until.startsWith('x')) {
        const count = Number(until.slice(1));
        for (let i = 0; i < Math.floor(count / 10); i += 1) {
            await peer.acquire();
            await peer.release();
        }
        cpu = process.cpuUsage();
        for (let i = 0; i < count; i += 1) {
            const asked = now();
            await peer.acquire();
            await peer.release();
            stamps.push(asked, 0n, 0n, now());
        }
    } else {
        const end = BigInt(until);
        cpu = process.cpuUsage();
        while (now() < end) {
            // Timers have whole milliseconds; the seed is for languages whose generator takes one.
            if (thinkMaxMs > 0) await sleep(Math.random() * thinkMaxMs);
            const asked = now();
            await peer.acquire();
            const acquired = now();
            let releasing = acquired;
            while (releasing < acquired + holdNs) releasing = now();
            await peer.release();
            stamps.push(asked, acquired, releasing, now());
        }
    }
    const { user, system } = process.cpuUsage(cpu);
    const words = BigUint64Array.from([ready, BigInt(1000 * (user + system)), NOT_COUNTED, ...stamps]);
    fs.writeFileSync(out, Buffer.from(words.buffer));
}

const [role, ...rest] = process.argv.slice(2);
/** Fails if the peer is not installed; else says its version. */
async function check(name) {
    openPeer(name, '/dev/null');
    const of = name === 'proper-lockfile' ? `${name} ${require(`${name}/package.json`).version}, ` : '';
    console.log(`${of}Node.js ${process.versions.node}`);
}

const roles = { check, owner: own, worker: work };
// Pending timers of the peer, such as a heartbeat, keep nobody waiting.
roles[role](...rest).then(() => process.exit(0));
