// A protected resource in the manner of the Model Context Protocol, and the authorization server that it names: oidc-provider with dynamic registration (RFC 7591, 7592)
// and, when the first argument is "documents", with client ID metadata documents. Access tokens are JWTs for the resource alone; those of users whose name
// begins with "short" live for as many seconds as the second argument says, others for an hour.
//
// Standard input takes {"forget": client id}, which removes a client, and {"resource": …}, which has the resource tell that name of itself. Standard output tells what
// happens, one JSON object a line: first "listening" with resource and issuer.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { createLocalJWKSet, jwtVerify } from 'jose';

console.info = console.error; // oidc-provider's notices; standard output is for events
const { default: Provider } = await import('oidc-provider');

const documents = process.argv[2] === 'documents';
const shortLife = Number(process.argv[3]);
const tell = (event, about) => process.stdout.write(`${JSON.stringify({ event, ...about })}\n`);

const listen = async (server) => {
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
  return `http://localhost:${server.address().port}`;
};
const [servers, resources] = [createServer(), createServer()];
const issuer = await listen(servers);
const origin = await listen(resources);
const resource = `${origin}/mcp`;
let name = resource; // of itself

const provider = new Provider(issuer, {
  cookies: { keys: ['the cookies of this vendor'] },
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: !documents },
    registrationManagement: { enabled: !documents },
    revocation: { enabled: true },
    clientIdMetadataDocument: { enabled: documents, ack: 'draft-02' },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, asked) => {
        if (asked !== resource) throw new Error(`asked for ${asked}`);
        return { scope: 'read', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
      },
    },
  },
  ...(documents && { fetch: (url, { dispatcher, ...options }) => fetch(url, options) }), // which else would not go to this machine
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'read'],
  ttl: {
    AccessToken: (_ctx, token) => (token.accountId.startsWith('short') ? shortLife : 3600),
    Grant: 3600, IdToken: 3600, Interaction: 3600, RefreshToken: 3600, Session: 3600,
  },
});

createInterface({ input: process.stdin }).on('line', async (line) => {
  const order = JSON.parse(line);
  if (order.forget) await provider.Client.adapter.destroy(order.forget);
  if (order.resource) name = order.resource;
  tell('done', {});
}).on('close', () => process.exit());

provider.on('registration_create.success', (ctx, client) => tell('registered', { client: client.clientId, accessToken: ctx.body.registration_access_token, secret: ctx.body.client_secret }));
provider.on('grant.success', (ctx) => tell('token', { client: ctx.oidc.client.clientId, grantType: ctx.oidc.params.grant_type, accessToken: ctx.body.access_token, refreshToken: ctx.body.refresh_token }));
provider.on('grant.error', (ctx, err) => tell('refused', { client: ctx.oidc.client?.clientId, grantType: ctx.oidc.params?.grant_type, error: err.error, description: err.error_description }));
provider.on('server_error', (_ctx, err) => tell('failed', { error: String(err.stack) }));
servers.on('request', provider.callback());

let keys;
const metadata = '/.well-known/oauth-protected-resource/mcp';
resources.on('request', async (req, res) => {
  const answer = (status, body, headers = {}) => res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  if (req.url === metadata) {
    answer(200, { resource: name, authorization_servers: [issuer], scopes_supported: ['read'], resource_name: 'The tools of these tests' });
    return;
  }
  try {
    const [, token] = /^Bearer (.+)$/.exec(req.headers.authorization);
    keys ??= createLocalJWKSet(await (await fetch(`${issuer}/jwks`)).json());
    const { payload } = await jwtVerify(token, keys, { issuer, audience: resource, typ: 'at+jwt' });
    answer(200, { user: payload.sub, client: payload.client_id });
  } catch (err) {
    answer(401, { error: String(err) }, { 'www-authenticate': `Bearer error="invalid_token", resource_metadata="${origin}${metadata}"` });
  }
});
tell('listening', { issuer, resource });
