// The dialogue by @grpc/grpc-js, which is written in JavaScript on Node's own HTTP/2; the contract is read from proto/.
// Steps, names and lines are those of python/dialogue.py.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');
const { everyCall } = require('./every_call');

const [address, token, prefix, run, ...rest] = process.argv.slice(2);
const options = {};
for (let at = 0; at < rest.length; at += 2) options[rest[at].replace(/^--/, '')] = fs.readFileSync(rest[at + 1]);

const root = process.env.IDIS_ROOT;
const files = ['resolution', 'registration', 'registry', 'changes', 'mirror'].map((name) => `resolver/v1/${name}.proto`);
const contract = grpc.loadPackageDefinition(
  loader.loadSync(files, { keepCase: true, longs: Number, defaults: true, includeDirs: [path.join(root, 'proto')] }),
).resolver.v1;
const rich = protobuf.loadSync(path.join(root, 'conformance/clients/proto/rich_error.proto'));

const credentials = options.ca
  ? grpc.credentials.createSsl(options.ca, options.key || null, options.certificate || null)
  : grpc.credentials.createInsecure();
const resolution = new contract.ResolutionService(address, credentials);
const registration = new contract.RegistrationService(address, credentials);
const registry = new contract.RegistryService(address, credentials);
const changes = new contract.ChangesService(address, credentials);
const mirror = new contract.MirrorService(address, credentials);
const packed = new contract.ResolutionService(address, credentials, {
  'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
  'grpc.use_local_subchannel_pool': 1,
});

const MILLION = 1000000;
const WATCHED = 3006;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const digest = (lines) => crypto.createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
const numbered = (number) => String(number).padStart(4, '0');
const soon = (ms) => ({ deadline: Date.now() + ms });

function credential() {
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

function unary(client, method, request, metadata = new grpc.Metadata()) {
  return new Promise((done, fail) => {
    client[method](request, metadata, soon(20000), (error, answer) => (error ? fail(error) : done(answer)));
  });
}

async function outcome(call) {
  try {
    await call;
  } catch (error) {
    if (error.code === undefined) throw error;
    const found = { code: error.code, message: error.details, reason: '', fields: [] };
    const details = error.metadata.get('grpc-status-details-bin')[0];
    const status = details ? rich.lookupType('google.rpc.Status').decode(details) : { details: [] };
    for (const detail of status.details) {
      const name = detail.type_url.split('/').pop();
      if (name === 'google.rpc.ErrorInfo') found.reason = rich.lookupType(name).decode(detail.value).reason;
      if (name === 'google.rpc.BadRequest') {
        found.fields = rich.lookupType(name).decode(detail.value).fieldViolations.map((each) => each.field);
      }
    }
    return found;
  }
  return { code: 0 };
}

// A request without a single octet, to any method.
function empty(method, metadata) {
  return new Promise((done, fail) => {
    const nothing = () => Buffer.alloc(0);
    resolution.makeUnaryRequest(`/${method}`, nothing, (octets) => octets, {}, metadata, soon(20000),
      (error, answer) => (error ? fail(error) : done(answer)));
  });
}

const row = (name, octets) => ({ name, values: [{ index: 1, type: 'URL', data: Buffer.alloc(octets, 'x') }] });
const missed = (each) => [each.position, each.code, each.reason];

function large(sizes) {
  const handles = sizes.map((octets, number) => row(`${prefix}/large-${number}`, octets));
  return unary(registration, 'BatchCreateHandles', { handles, validate_only: true }, credential());
}

const steps = {
  async unary() {
    const { record } = await unary(resolution, 'Resolve', { name: `${prefix}/interop-fixed` });
    const values = record.values.map((each) => [each.index, each.type, each.data.toString(), each.ttl_s]);
    return { name: record.name, version: record.version, values };
  },
  refused: () => outcome(unary(resolution, 'Resolve', {})),
  unknown_name: () => outcome(unary(resolution, 'Resolve', { name: `${prefix}/没有 100%` })),
  async unknown_method() {
    const { code } = await outcome(empty('resolver.v1.ResolutionService/Guess', new grpc.Metadata()));
    return { code };
  },
  async deadline() {
    const started = Date.now();
    const stream = changes.Watch({}, credential(), soon(400));
    const read = async () => { for await (const each of stream) void each; };
    const { code } = await outcome(read());
    const took = Date.now() - started;
    return { code, in_time: took > 300 && took < 60000 };
  },
  cancel() {
    const stream = changes.Watch({ from_serial: 1 }, credential(), soon(30000));
    return new Promise((done) => {
      let first = null;
      stream.on('data', (answer) => {
        first = first === null ? answer.changes[0].change.serial : first;
        stream.cancel();
      });
      stream.on('error', (error) => done({ first, code: error.code }));
    });
  },
  async batch() {
    const names = ['interop-fixed', 'interop-none', '', 'interop-w-0001'].map((suffix) => `${prefix}/${suffix}`);
    const answer = await unary(resolution, 'BatchResolve', { names });
    return { records: answer.records.map((record) => record.name), misses: answer.misses.map(missed) };
  },
  async stream() {
    const stream = resolution.StreamResolve(credential(), soon(30000));
    for (let number = 0; number < 1000; number += 1) {
      const suffix = number % 10 === 9 ? 'none' : `w-${numbered(number)}`;
      stream.write({ tag: 7 * number, name: `${prefix}/interop-${suffix}` });
    }
    stream.end();
    const records = [];
    const misses = [];
    for await (const answer of stream) {
      answer.records.forEach((record, at) => records.push(`${answer.tags[at]} ${record.name}`));
      answer.misses.forEach((each) => misses.push(`${each.position} ${each.code}`));
    }
    return { records: records.length, misses: misses.length, digest: digest([...records, ...misses].sort()) };
  },
  async import_handles() {
    const stream = registration.ImportHandles(credential(), soon(30000));
    for (const sequence of [1, 2, 3, 3]) {
      const handles = [];
      for (let each = 0; each < 100; each += 1) handles.push(row(`${prefix}/${run}-${sequence}-${each}`, 100));
      stream.write({ import_id: run, sequence, handles });
    }
    stream.end();
    const chunks = [];
    for await (const answer of stream) {
      const good = answer.results.filter((each) => each.code === 0).length;
      chunks.push([answer.sequence, good, answer.durable_sequence, answer.repeated_chunk]);
    }
    return { chunks };
  },
  async slow_watch() {
    const request = { from_serial: 1, include_records: true, stop_at_end: true };
    const names = [];
    let [gaps, octets, last] = [0, 0, 0];
    for await (const answer of changes.Watch(request, credential(), soon(30000))) {
      await pause(last ? 20 : 300);
      for (const each of answer.changes) {
        gaps += each.change.serial !== last + 1 ? 1 : 0;
        last = each.change.serial;
        if (names.length < WATCHED && each.change.name.startsWith(`${prefix}/interop-`)) {
          names.push(each.change.name);
          for (const value of each.record ? each.record.values : []) octets += value.data.length;
        }
      }
    }
    return { changes: names.length, gaps, octets, digest: digest(names) };
  },
  async large_up() {
    const answer = await large([MILLION, MILLION, MILLION, MILLION, 190000]);
    return { codes: answer.results.map((each) => each.code) };
  },
  async too_large_up() {
    const { code, reason } = await outcome(large([MILLION, MILLION, MILLION, MILLION, 300000]));
    return { code, reason };
  },
  async large_down() {
    const names = [0, 1, 2, 3, 4].map((number) => `${prefix}/interop-big-${number}`);
    const answer = await unary(resolution, 'BatchResolve', { names });
    const octets = answer.records.reduce((sum, record) => sum + record.values[0].data.length, 0);
    return { octets, misses: answer.misses.map(missed) };
  },
  async metadata() {
    const none = await outcome(unary(registry, 'ListEnterprises', {}));
    const wrong = new grpc.Metadata();
    wrong.set('authorization', 'Bearer idis_no_such_token');
    const bad = await outcome(unary(registry, 'ListEnterprises', {}, wrong));
    const extra = credential();
    extra.set('x-interop-bin', Buffer.from(Array.from({ length: 256 }, (_, octet) => octet)));
    extra.set('x-interop', 'a, b');
    const good = await outcome(unary(registry, 'ListEnterprises', {}, extra));
    return { without: [none.code, none.reason], bad: [bad.code, bad.reason], good: good.code };
  },
  async gzip() {
    const names = Array.from({ length: 500 }, (_, number) => `${prefix}/interop-w-${numbered(number)}`);
    const answer = await unary(packed, 'BatchResolve', { names });
    return { records: answer.records.length, misses: answer.misses.length };
  },
  async every_method() {
    const found = {};
    for (const method of process.env.IDIS_METHODS.split(',')) {
      const said = [];
      for (const metadata of [credential(), new grpc.Metadata()]) {
        const { code, reason = '', fields = [] } = await outcome(empty(method, metadata));
        said.push(`${code} ${reason} ${fields.join(' ')}`.trim());
      }
      found[method.split('/').pop()] = said;
    }
    return found;
  },
  every_call: () => everyCall(resolution, token, run, outcome),
  async follow() {
    const stream = mirror.Follow(credential(), soon(30000));
    stream.write({ mirror_id: 'no such/id' });
    stream.end();
    const read = async () => { for await (const each of stream) void each; };
    const { code, reason, fields } = await outcome(read());
    return { code, reason, fields };
  },
};

(async () => {
  for (const [step, ask] of Object.entries(steps)) {
    let found;
    try {
      found = await ask();
    } catch (error) {
      found = { raised: String(error).slice(0, 300) };
    }
    console.log(JSON.stringify({ step, found }));
  }
  process.exit(0);
})();
