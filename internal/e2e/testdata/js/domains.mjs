// Two domains, each an oidc-provider: the identity provider "idp" knows the users and gives assertions (ID-JAG) for the other, "api", which trusts it. The library does what it does
// for every grant type: endpoints, client authentication, parameters, keys, tokens; the two grant types, which it lacks, are below, by draft-ietf-oauth-identity-assertion-authz-grant.
//
// Standard input takes one user a line, {"user"}, who signs in at the identity provider. Standard output tells what happens, one JSON object a line: first "listening" with both, then
// each "signed-in" with the ID token, and each "token" and "refused".
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { createLocalJWKSet, createRemoteJWKSet, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose';

console.info = console.error; // oidc-provider's notices; standard output is for events
const { default: Provider, errors } = await import('oidc-provider');

const tell = (event, about) => process.stdout.write(`${JSON.stringify({ event, ...about })}\n`);
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const bearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const idJAG = 'urn:ietf:params:oauth:token-type:id-jag';

async function serve(name, clients, more) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid: `${name}-key`, alg: 'RS256', use: 'sig' };
  const server = createServer();
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: clients.map(({ id, secret, grant }) => ({
      client_id: id, client_secret: secret, grant_types: [grant], redirect_uris: [], response_types: [], token_endpoint_auth_method: 'client_secret_post',
    })),
    cookies: { keys: ['the cookies of this vendor'] },
    jwks: { keys: [jwk] },
    scopes: ['read', 'write'],
    ttl: { AccessToken: 3600, Grant: 3600 },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => ({ scope: 'read write', audience: resource, accessTokenFormat: 'jwt' }),
      },
    },
    ...more,
  });
  provider.on('grant.error', (ctx, err) => tell('refused', { client: ctx.oidc.client?.clientId, grantType: ctx.oidc.params?.grant_type, error: err.error, description: err.error_detail ?? err.error_description }));
  provider.on('server_error', (_ctx, err) => tell('failed', { error: String(err.stack) }));
  server.on('request', provider.callback());
  const { d, p, q, dp, dq, qi, ...published } = jwk;
  return { issuer, provider, privateKey, kid: jwk.kid, keys: createLocalJWKSet({ keys: [published] }) };
}

const idp = await serve('idp', [{ id: 'agent at idp', secret: 'the secret of agents at idp', grant: exchange }]);
const api = await serve('api', [{ id: 'agent at api', secret: 'the secret of agents at api', grant: bearer }]);
const known = { [api.issuer]: { 'agent at idp': 'agent at api' } }; // who is whom at whose server

const sign = (claims, typ) => new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: idp.kid, typ }).setIssuer(idp.issuer).setIssuedAt().setExpirationTime('5m').sign(idp.privateKey);

const refuse = (why) => { throw new errors.InvalidGrant(why); };

idp.provider.registerGrantType(exchange, async (ctx) => {
  const { client, params } = ctx.oidc;
  if (params.requested_token_type !== idJAG || params.subject_token_type !== 'urn:ietf:params:oauth:token-type:id_token') throw new errors.InvalidRequest('only ID tokens for assertions');
  const { payload } = await jwtVerify(params.subject_token, idp.keys, { issuer: idp.issuer, audience: client.clientId }).catch((err) => refuse(err.message));
  const clientID = known[params.audience]?.[client.clientId];
  if (!clientID) throw new errors.InvalidTarget();
  ctx.body = {
    access_token: await sign({ sub: payload.sub, aud: params.audience, client_id: clientID, jti: randomUUID(), scope: params.scope, resource: params.resource }, 'oauth-id-jag+jwt'),
    issued_token_type: idJAG, token_type: 'N_A', expires_in: 300, scope: params.scope,
  };
}, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope'], ['resource']);

const seen = new Set();
const idpKeys = createRemoteJWKSet(new URL(`${idp.issuer}/jwks`));
api.provider.registerGrantType(bearer, async (ctx) => {
  const { client, params, provider } = ctx.oidc;
  const { payload } = await jwtVerify(params.assertion, idpKeys, { issuer: idp.issuer, audience: api.issuer, typ: 'oauth-id-jag+jwt', requiredClaims: ['sub', 'jti', 'exp'] })
    .catch((err) => refuse(err.message));
  if (payload.client_id !== client.clientId) refuse('it is of another client');
  if (seen.has(payload.jti)) refuse('it was used before');
  seen.add(payload.jti);
  const token = new provider.AccessToken({ accountId: payload.sub, client, scope: payload.scope, grantId: randomUUID() });
  token.resourceServer = new provider.ResourceServer(payload.resource, { scope: 'read write', audience: payload.resource, accessTokenFormat: 'jwt' });
  ctx.body = { access_token: await token.save(), expires_in: token.expiration, token_type: token.tokenType, scope: payload.scope };
  tell('token', { client: client.clientId, user: payload.sub, grantType: bearer, accessToken: ctx.body.access_token, subject: decodeProtectedHeader(params.assertion).typ });
}, ['assertion', 'scope']);

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { user } = JSON.parse(line);
  tell('signed-in', { user, idToken: await sign({ sub: user, aud: 'agent at idp', jti: randomUUID() }, 'JWT') });
}).on('close', () => process.exit());
tell('listening', { issuer: idp.issuer, api: api.issuer });
