// A vendor: the certified oidc-provider with its own login and consent pages (any user, any password), refresh token rotation, and reuse detection,
// which revokes every token of a grant when a spent refresh token comes back.
//
// The argument is the lifetime, in seconds, of access tokens of the clients "short", "signer", "bound" and "public"; those of others live for an hour.
// Standard input takes one redirect URI to register a line, {"client", "redirectUri"}, and of a client that signs its key, "jwk", or for "reader" the URL of its keys. Standard output tells what happens, one JSON object a line: first
// "listening" with the clients, then every request, code, token, refusal and revocation.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

console.info = console.error; // oidc-provider's notices; standard output is for events
const { default: Provider } = await import('oidc-provider');

const shortLife = Number(process.argv[2]);
const tell = (event, about) => process.stdout.write(`${JSON.stringify({ event, ...about })}\n`);

const device = 'urn:ietf:params:oauth:grant-type:device_code';
// Ids and secrets hold everything that HTTP Basic must encode (RFC 6749 section 2.3.1).
const clients = [
  { name: 'basic', id: 'basic client:/+%@ ', secret: 'basic secret:/+%@ &=?#', method: 'client_secret_basic', grants: ['authorization_code', 'refresh_token'] },
  { name: 'post', id: 'post client:/+%@ ', secret: 'post secret:/+%@ &=?#', method: 'client_secret_post', grants: ['authorization_code', 'refresh_token'] },
  { name: 'short', id: 'short-client', secret: 'short-client-secret', method: 'client_secret_basic', grants: ['authorization_code', 'refresh_token'] },
  { name: 'bound', id: 'bound-client', secret: 'bound-client-secret', method: 'client_secret_basic', grants: ['authorization_code', 'refresh_token', 'client_credentials'], more: { dpop_bound_access_tokens: true } },
  { name: 'hmac', id: 'hmac-client', secret: 'hmac-client-secret-of-more-than-32-bytes', method: 'client_secret_jwt', grants: ['authorization_code', 'client_credentials'] },
  { name: 'console', id: 'console-client', secret: 'console-client-secret', method: 'client_secret_basic', grants: ['authorization_code'] },
  { name: 'public', id: 'public-client', method: 'none', grants: ['authorization_code', 'refresh_token'] },
  { name: 'machine', id: 'machine-client', secret: 'machine-client-secret', method: 'client_secret_basic', grants: ['client_credentials'] },
  { name: 'mounted', id: 'mounted-client', secret: 'mounted-client-secret', method: 'client_secret_basic', grants: ['client_credentials'] },
  { name: 'robot', id: 'robot-client', secret: 'robot-client-secret', method: 'client_secret_post', grants: ['client_credentials'] },
  { name: 'device', id: 'device-client', secret: 'device-client-secret', method: 'client_secret_basic', grants: [device, 'refresh_token'] },
  { name: 'hasty', id: 'hasty-client', secret: 'hasty-client-secret', method: 'client_secret_post', grants: [device, 'refresh_token'] },
  { name: 'signer', id: 'signer-client', method: 'private_key_jwt', grants: ['authorization_code', 'refresh_token', 'client_credentials'], more: { require_pushed_authorization_requests: true, require_signed_request_object: true } },
  { name: 'reader', id: 'reader-client', method: 'private_key_jwt', grants: ['client_credentials'], jwksURI: 'https://registered.later.example/jwks' },
];
const named = (id) => clients.find((c) => c.id === id)?.name;

const server = createServer();
await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
const issuer = `http://localhost:${server.address().port}`; // another site than the server under test, for a browser and its cookies

let published; // the URL of the keys of "reader"
const provider = new Provider(issuer, {
  clients: clients.map(({ id, secret, method, grants, jwksURI, more }) => ({
    ...more,
    client_id: id,
    ...(secret ? { client_secret: secret } : jwksURI ? { jwks_uri: jwksURI } : { jwks: { keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })] } }),
    token_endpoint_auth_method: method,
    grant_types: grants,
    response_types: grants.includes('authorization_code') ? ['code'] : [],
    redirect_uris: grants.includes('authorization_code') ? ['https://registered.later.example/'] : [],
  })),
  fetch: (_url, { dispatcher, ...options }) => fetch(published, options), // keys alone are fetched; what it would dispatch by refuses this machine
  // A user is in the groups that follow his name: ada+staff+owners.
  claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: false,
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, groups: sub.split('+').slice(1), email: `${sub}@acme.example`, email_verified: false }) }),
  cookies: { keys: ['the cookies of this vendor'] },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    requestObjects: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({ scope: 'read', audience: resource, accessTokenFormat: 'jwt' }),
    },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'read'],
  ttl: {
    AccessToken: (_ctx, _token, client) => (['short', 'signer', 'bound', 'public'].includes(named(client.clientId)) ? shortLife : 3600),
    ClientCredentials: 3600,
    DeviceCode: (_ctx, _token, client) => (named(client.clientId) === 'hasty' ? 20 : 3600),
    Grant: 3600,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 3600,
    Session: 3600,
  },
});

// Redirect URIs match exactly; they are known only once the server under test has made its provider.
const registered = new Map(clients.map(({ id }) => [id, new Set()]));
provider.Client.prototype.redirectUriAllowed = function redirectUriAllowed(uri) { return registered.get(this.clientId).has(uri); };
createInterface({ input: process.stdin }).on('line', async (line) => {
  const { client, redirectUri, jwk } = JSON.parse(line);
  const { id } = clients.find((c) => c.name === client);
  registered.get(id).add(redirectUri);
  if (typeof jwk === 'string') published = jwk;
  else if (jwk) (await provider.Client.find(id)).asymmetricKeyStore.add(jwk); // beside the one that it has so that it may be made
  tell('registered', { client, redirectUri });
}).on('close', () => process.exit());

provider.on('authorization.success', (ctx, answer) => tell('code', { client: named(ctx.oidc.client.clientId), code: answer?.code })); // none for a device
provider.on('grant.success', (ctx) => tell('token', {
  ...asked(ctx),
  accessToken: ctx.body.access_token,
  refreshToken: ctx.body.refresh_token,
  idToken: ctx.body.id_token,
}));
provider.on('grant.error', (ctx, err) => tell('refused', { ...asked(ctx), error: err.error, description: err.error_description, detail: err.error_detail }));
provider.on('grant.revoked', (ctx) => tell('revoked', { client: named(ctx.oidc.client.clientId) }));
provider.on('server_error', (_ctx, err) => tell('failed', { error: String(err.stack) }));

// asked is a token request as it came.
function asked(ctx) {
  return {
    client: named(ctx.oidc.client?.clientId),
    user: ctx.oidc.entities.Account?.accountId,
    grantType: ctx.oidc.params?.grant_type,
    method: ctx.get('Authorization') ? 'client_secret_basic' : ctx.oidc.params?.client_secret ? 'client_secret_post' : ctx.oidc.client?.clientAuthMethod,
    spent: ctx.oidc.params?.refresh_token,
  };
}

const answer = provider.callback();
server.on('request', (req, res) => {
  tell('request', { method: req.method, path: req.url.split('?', 1)[0], referer: req.headers.referer });
  answer(req, res);
});
tell('listening', { issuer, clients: clients.map(({ name, id, secret }) => ({ name, id, secret })) });
