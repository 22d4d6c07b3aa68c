// A node of the JavaScript side of the network, told what to do by JSON lines on standard input and saying what it sees by
// JSON lines on standard output, as the Go node beside it. TCP and Noise; Node 20 or newer.

import './node20.js'

import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

import { generateKeyPair, privateKeyFromRaw } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { base58btc } from 'multiformats/bases/base58'

const { values: options } = parseArgs({
  options: {
    key: { type: 'string' },
    listen: { type: 'string' },
    leaf: { type: 'boolean' }, // stay out of every mesh: messages come and go by IHAVE and IWANT alone
    trace: { type: 'boolean' } // say what every RPC holds
  }
})

const key = options.key
  ? privateKeyFromRaw(base58btc.baseDecode(options.key))
  : await generateKeyPair('Ed25519')

function say (event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
}

// Author and sequence number as they stand on the wire. That of the library leaves out the first two bytes of the author,
// so that no IHAVE of a Go or depinmesh node would mean anything to it.
function messageId (message) {
  const author = message.from.toMultihash().bytes
  const id = new Uint8Array(author.length + 8)
  id.set(author)
  new DataView(id.buffer).setBigUint64(author.length, message.sequenceNumber)
  return id
}

const leaf = { D: 0, Dlo: 0, Dhi: 0, Dout: 0, Dscore: 0, allowPublishToZeroTopicPeers: true }

const node = await createLibp2p({
  privateKey: key,
  addresses: { listen: [options.listen] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    pubsub: gossipsub({ msgIdFn: messageId, emitSelf: false, floodPublish: false, doPX: false, ...(options.leaf && leaf) })
  }
})
const { pubsub } = node.services

if (options.leaf) {
  // With a degree of 0 the library would send what it publishes to everybody.
  pubsub.selectPeersToPublish = () => ({ tosend: new Set(), tosendCount: { direct: 0, floodsub: 0, mesh: 0, fanout: 0 } })
}

const hex = (ids) => ids.map((id) => Buffer.from(id).toString('hex'))

function sayRPC (way, { messages = [], control = {} }) {
  say('rpc', {
    way,
    publish: hex(messages.map((message) => message.data)),
    ihave: hex((control.ihave ?? []).flatMap((one) => one.messageIDs)),
    iwant: hex((control.iwant ?? []).flatMap((one) => one.messageIDs)),
    graft: (control.graft ?? []).map((one) => one.topicID),
    prune: Object.fromEntries((control.prune ?? []).map((one) => [one.topicID, one.backoff]))
  })
}

if (options.trace) {
  const { sendRpc, handleReceivedRpc } = pubsub
  pubsub.sendRpc = (id, rpc) => {
    const sent = sendRpc.call(pubsub, id, rpc) // which adds to it
    sayRPC('out', rpc)
    return sent
  }
  pubsub.handleReceivedRpc = (from, rpc) => {
    sayRPC('in', rpc)
    return handleReceivedRpc.call(pubsub, from, rpc)
  }
}

async function versions () {
  const found = {}
  for (const name of ['libp2p', '@libp2p/gossipsub', '@libp2p/noise', '@libp2p/yamux']) {
    const file = new URL(`node_modules/${name}/package.json`, import.meta.url)
    found[name] = JSON.parse(await readFile(file)).version
  }
  return found
}

node.addEventListener('connection:open', ({ detail }) => {
  say('connected', {
    peer: detail.remotePeer.toString(),
    direction: detail.direction === 'inbound' ? 'Inbound' : 'Outbound',
    transport: 'tcp',
    security: detail.encryption,
    open: node.getConnections(detail.remotePeer).length
  })
})
node.addEventListener('connection:close', ({ detail }) => say('disconnected', { peer: detail.remotePeer.toString() }))
pubsub.addEventListener('gossipsub:graft', ({ detail }) => say('graft', { peer: detail.peerId, topic: detail.topic }))
pubsub.addEventListener('gossipsub:message', ({ detail: { propagationSource, msg } }) => {
  const said = {
    topic: msg.topic,
    author: msg.from.toString(),
    forwarder: propagationSource.toString(),
    message: Buffer.from(messageId(msg)).toString('hex'),
    bytes: msg.data.length
  }
  try {
    say('message', { ...said, read: JSON.parse(new TextDecoder().decode(msg.data)) })
  } catch (error) {
    say('dropped', { ...said, reason: String(error) })
  }
})

const commands = {
  async dial ({ addresses }) {
    const started = performance.now()
    let error = null
    try {
      await node.dial(addresses.map((address) => multiaddr(address)))
    } catch (failure) {
      error = String(failure)
    }
    say('dialled', { addresses, error, ms: performance.now() - started })
  },
  subscribe ({ topic }) {
    pubsub.subscribe(topic)
    say('subscribed', { topic })
  },
  async publish ({ topic, message }) {
    const event = { id: randomUUID(), from_peer: node.peerId.toString(), message, timestamp: Math.floor(Date.now() / 1000) }
    let error = null
    try {
      await pubsub.publish(topic, new TextEncoder().encode(JSON.stringify(event)))
    } catch (failure) {
      error = String(failure)
    }
    say('published', { topic, id: event.id, error })
  },
  'topic-peers' ({ topic }) {
    say('topic-peers', { topic, peers: pubsub.getSubscribers(topic).map(String) })
  }
}

say('started', {
  peer_id: node.peerId.toString(),
  addresses: node.getMultiaddrs().map(String),
  versions: await versions()
})
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  await commands[command.cmd](command)
}
process.exit()
