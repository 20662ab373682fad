// An agent and its application, as people write them: the AWS SDK for JavaScript v3, with endpoint and credentials from the environment. Nothing in it
// knows which server answers.
//
// Standard input takes one call a line, {"id", "operation", "input"}, with "headers" for what the SDK's shapes do not have and "pages": true to let the
// SDK's paginator go through a list. Standard output has one answer a line, {"id", "output"} or {"id", "error"}; a Date is {"$date": ISO 8601}.
// Calls run side by side.
import { createInterface } from 'node:readline';
import * as data from '@aws-sdk/client-bedrock-agentcore';
import * as control from '@aws-sdk/client-bedrock-agentcore-control';
import * as sts from '@aws-sdk/client-sts';

const once = { maxAttempts: 1 }; // the SDK would hide an answer behind another try
const planes = [
  { sdk: data, client: new data.BedrockAgentCoreClient(once), Base: data.BedrockAgentCoreServiceException },
  { sdk: control, client: new control.BedrockAgentCoreControlClient(once), Base: control.BedrockAgentCoreControlServiceException },
  { sdk: sts, client: new sts.STSClient(once), Base: sts.STSServiceException },
];

async function call({ operation, input, headers = {}, pages }) {
  const plane = planes.find(({ sdk }) => `${operation}Command` in sdk);
  if (!plane) throw new Error(`the SDK has no operation ${operation}`);
  const { sdk, client } = plane;
  try {
    if (pages) {
      const output = [];
      for await (const page of sdk[`paginate${operation}`]({ client }, input)) output.push(page);
      return { output };
    }
    const command = new sdk[`${operation}Command`](input);
    command.middlewareStack.add((next) => (args) => {
      Object.assign(args.request.headers, headers);
      return next(args);
    }, { step: 'build' });
    return { output: await client.send(command) };
  } catch (err) {
    return { error: describe(err, plane) };
  }
}

// describe tells what a program can learn of an error.
function describe(err, { sdk, Base }) {
  return {
    name: err.name,
    typed: err.name in sdk && err instanceof sdk[err.name],
    service: err instanceof Base,
    message: err.message,
    reason: err.reason,
    fieldList: err.fieldList,
    fault: err.$fault,
    metadata: err.$metadata,
  };
}

function dates(key, value) {
  return this[key] instanceof Date ? { $date: value } : value;
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, ...request } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ id, ...await call(request) }, dates)}\n`);
}).on('close', () => process.exit());
