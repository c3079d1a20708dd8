// The calls of calls.py: what each answered, in the lines of python/every_call.py.
'use strict';

const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const protobuf = require('protobufjs');

const protos = path.join(process.env.IDIS_ROOT, 'proto');
const root = new protobuf.Root();
root.resolvePath = (_, target) => (path.isAbsolute(target) ? target : path.join(protos, target));
root.loadSync(fs.readdirSync(path.join(protos, 'resolver/v1')).map((name) => `resolver/v1/${name}`), { keepCase: true });
root.resolveAll();

const text = (value) => (Buffer.isBuffer(value) ? value.toString('hex') : String(value));

// [path, value, field name] of all that is set: fields of no presence have no property unless they came.
function fields(type, message, start) {
  const found = [];
  for (const field of type.fieldsArray) {
    if (!Object.prototype.hasOwnProperty.call(message, field.name)) continue;
    const value = message[field.name];
    const at = start + field.name;
    const add = (each, here) => {
      if (field.resolvedType instanceof protobuf.Type) found.push(...fields(field.resolvedType, each, `${here}.`));
      else found.push([here, each, field.name]);
    };
    if (field.map) Object.entries(value).forEach(([key, each]) => found.push([`${at}{${key}}`, each, field.name]));
    else if (field.repeated) value.forEach((each, number) => add(each, `${at}[${number}]`));
    else add(value, at);
  }
  return found;
}

function ask(client, method, takes, gives, request, who) {
  const metadata = new grpc.Metadata();
  if (who !== '-') metadata.set('authorization', `Bearer ${who}`);
  const encode = (json) => takes.encode(takes.fromObject(json)).finish();
  return new Promise((done, fail) => {
    client.makeUnaryRequest(`/${method}`, encode, (octets) => gives.decode(octets), request, metadata,
      { deadline: Date.now() + 20000 }, (error, answer) => (error ? fail(error) : done(answer)));
  });
}

exports.everyCall = async (client, token, run, outcome) => {
  const [first, ...rest] = process.env.IDIS_CALLS.trim().split('\n');
  const volatile = new Set(first.split(','));
  const known = { NODE: token, RUN: run };
  const found = {};
  for (const line of rest) {
    const [name, method, takes, gives, caller, keep, asked] = line.split('\t');
    let [who, request] = [caller, asked];
    for (const [word, value] of Object.entries(known)) {
      who = who.replaceAll(`$${word}`, value);
      request = request.replaceAll(`$${word}`, value);
    }
    const type = root.lookupType(gives);
    let answer = null;
    const call = ask(client, method, root.lookupType(takes), type, JSON.parse(request), who);
    const told = await outcome(call.then((message) => { answer = message; }));
    let said = [];
    if (answer === null) {
      said = [`${told.code} ${told.reason} ${told.fields.join(' ')}`.trim(), told.message];
    } else if (!name.endsWith('?')) {
      const all = fields(type, answer, '');
      const lines = all.map(([at, value, last]) => `${at}=${volatile.has(last) ? '*' : text(value)}`);
      said = lines.sort((one, two) => Buffer.compare(Buffer.from(one), Buffer.from(two)));
      const [word, wanted] = keep.split('=');
      for (const [at, value] of all) if (at === wanted) known[word] = text(value);
    }
    found[name] = said.map((each) => each.replaceAll(run, '$RUN'));
  }
  return found;
};
