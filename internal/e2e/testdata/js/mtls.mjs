// An oidc-provider whose client authenticates by a certificate (RFC 8705 section 2.1). Its issuer asks nobody for one; the endpoints under mtls_endpoint_aliases do (section 5).
//
// The arguments are files in PEM: certificate and key of the server, and the certificate that vouches for clients. Standard output tells what happens, one JSON object a line: first "listening",
// then each "request", "token" and "refused".
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

console.info = console.error; // oidc-provider's notices; standard output is for events
const { default: Provider } = await import('oidc-provider');

const [certificate, key, ca] = process.argv.slice(2).map((file) => readFileSync(file));
const tell = (event, about) => process.stdout.write(`${JSON.stringify({ event, ...about })}\n`);

async function listen(options) {
  const server = createServer({ cert: certificate, key, ...options });
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
  return { server, url: `https://127.0.0.1:${server.address().port}` };
}
const front = await listen({});
const back = await listen({ ca, requestCert: true, rejectUnauthorized: false });

const provider = new Provider(front.url, {
  clients: [{
    client_id: 'certified', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=agent',
  }],
  clientAuthMethods: ['tls_client_auth', 'client_secret_basic'],
  cookies: { keys: ['the cookies of this vendor'] },
  discovery: { mtls_endpoint_aliases: { token_endpoint: `${back.url}/token`, revocation_endpoint: `${back.url}/token/revocation` } },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      certificateBoundAccessTokens: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.()?.toString(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => property === 'tls_client_auth_subject_dn' && new X509Certificate(ctx.socket.getPeerX509Certificate().raw).subject === expected,
    },
  },
  scopes: ['read'],
});
provider.on('grant.success', (ctx) => tell('token', { client: ctx.oidc.client.clientId, method: ctx.oidc.client.clientAuthMethod, accessToken: ctx.body.access_token }));
provider.on('grant.error', (ctx, err) => tell('refused', { client: ctx.oidc.client?.clientId, error: err.error, description: err.error_detail ?? err.error_description }));
provider.on('server_error', (_ctx, err) => tell('failed', { error: String(err.stack) }));
for (const { server, url } of [front, back]) {
  server.on('request', (req, res) => {
    tell('request', { path: `${url === front.url ? 'front' : 'back'} ${req.url}` });
    provider.callback()(req, res);
  });
}
process.stdin.resume().on('end', () => process.exit());
tell('listening', { issuer: front.url });
