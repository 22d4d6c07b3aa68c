// A pair of js-libp2p nodes: TCP, Noise, Yamux and GossipSub with the id of messages that all of the network has. The
// command line and the lines that it says are those of the raw peer: see benches/raw/src/main.rs.

import './node20.js'

import { randomUUID } from 'node:crypto'
import { openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const TOPIC = 'bench_events'
const STALLED = 10_000

const text = { type: 'string' }
const { values: given, positionals: [role] } = parseArgs({
  allowPositionals: true,
  options: {
    transport: text,
    credit: text,
    address: text,
    count: { ...text, default: '0' },
    warmup: { ...text, default: '0' },
    size: { ...text, default: '200' },
    window: { ...text, default: '256' },
    rate: { ...text, default: '0' },
    seconds: { ...text, default: '0' },
    linger: { ...text, default: '0' },
    latency: { type: 'boolean', default: false }
  }
})
const [count, warmup, size, window, rate, seconds, linger] =
  ['count', 'warmup', 'size', 'window', 'rate', 'seconds', 'linger'].map((name) => Number(given[name]))

function say (event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
}

// The file of the other peers, which map it; Node can only read and write it.
const credit = openSync(given.credit, role === 'recv' ? 'w+' : 'r')
const number = Buffer.alloc(8)

function received () {
  readSync(credit, number, 0, 8, 0)
  return Number(number.readBigUInt64LE())
}

function tell (events) {
  number.writeBigUInt64LE(BigInt(events))
  writeSync(credit, number, 0, 8, 0)
}

function usage () {
  const used = process.resourceUsage()
  return { at: performance.now(), cpu: used.userCPUTime + used.systemCPUTime, waits: used.voluntaryContextSwitches }
}

function usedSince (begun, events) {
  const now = usage()
  const taken = (now.at - begun.at) / 1e3
  const peak = /^VmHWM:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return {
    seconds: taken,
    events_per_second: events / taken,
    cpu_us_per_event: (now.cpu - begun.cpu) / events,
    waits_per_event: (now.waits - begun.waits) / events,
    max_rss_kib: Number(peak[1])
  }
}

function messageId (message) {
  const author = message.from.toMultihash().bytes
  const id = new Uint8Array(author.length + 8)
  id.set(author)
  new DataView(id.buffer).setBigUint64(author.length, message.sequenceNumber)
  return id
}

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub({ msgIdFn: messageId, emitSelf: false, floodPublish: false, doPX: false })
  }
})
const { pubsub } = node.services

function versionOf (name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version
}

async function receive () {
  tell(0)
  const latencies = []
  let events = 0
  let begun = usage()
  let ended
  const all = new Promise((resolve) => { ended = resolve })
  pubsub.addEventListener('gossipsub:message', ({ detail: { msg } }) => {
    const event = JSON.parse(new TextDecoder().decode(msg.data))
    if (given.latency && events >= warmup) latencies.push(Number(process.hrtime.bigint()) - event.message.t)
    tell(++events)
    if (events === warmup) begun = usage()
    if (events === warmup + count) ended()
  })
  pubsub.subscribe(TOPIC)
  const versions = { node: process.versions.node, 'js-libp2p': versionOf('libp2p') }
  say('listening', { address: String(node.getMultiaddrs()[0]), versions })
  await all
  latencies.sort((one, other) => one - other)
  const at = { p50_us: 500, p99_us: 990, p999_us: 999, max_us: 1000 }
  const quantiles = {}
  for (const [name, perMille] of Object.entries(latencies.length > 0 ? at : {})) {
    quantiles[name] = latencies[Math.floor((latencies.length - 1) * perMille / 1000)] / 1e3
  }
  say('received', { ...usedSince(begun, count), missing: 0, ...quantiles })
}

let sent = 0

async function publish (due) {
  const event = {
    id: randomUUID(),
    from_peer: node.peerId.toString(),
    message: { t: due, n: sent++, pad: '' },
    timestamp: Math.floor(Date.now() / 1000)
  }
  event.message.pad = 'x'.repeat(Math.max(0, size - JSON.stringify(event).length))
  await pubsub.publish(TOPIC, new TextEncoder().encode(JSON.stringify(event)))
}

async function fast (total) {
  let progress = -1
  let since = performance.now()
  for (let done = received(); done < total; done = received()) {
    if (done > progress) {
      progress = done
      since = performance.now()
    } else if (performance.now() - since > STALLED) {
      throw new Error(`${done} of ${sent} events arrived`)
    }
    for (let room = Math.min(window - (sent - done), total - sent); room > 0; room--) await publish(0)
    await sleep(1)
  }
}

async function send () {
  const began = performance.now()
  await node.dial(multiaddr(given.address))
  say('connected', { ms: performance.now() - began })
  while (pubsub.getSubscribers(TOPIC).length === 0) await sleep(1)
  await fast(warmup)
  const begun = usage()
  if (rate > 0) {
    const start = Number(process.hrtime.bigint())
    for (let event = 0; event < rate * seconds; event++) {
      const due = start + Math.floor(event * 1e9 / rate)
      // Timers are a millisecond wide: the last part of the wait lets others run, and looks again.
      for (let early = due - Number(process.hrtime.bigint()); early > 0; early = due - Number(process.hrtime.bigint())) {
        await (early > 2e6 ? sleep(early / 1e6 - 1) : new Promise(setImmediate))
      }
      await publish(due)
    }
    await fast(sent)
  } else {
    await fast(warmup + count)
  }
  say('sent', usedSince(begun, sent - warmup))
}

try {
  await (role === 'recv' ? receive() : send())
} catch (error) {
  say('failed', { error: String(error) })
}
await sleep(linger * 1e3)
process.exit()
