// The issuer of a test: it signs in whoever comes, as one person, and says so with keys of its own; to the same client it gives access tokens
// for one API (RFC 9068, RFC 8707). Arguments: client, secret, redirect URI, person, API.
import { createServer } from "node:http";
import Provider, { errors } from "oidc-provider";

const [client, secret, redirect, person, api] = process.argv.slice(2);
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client,
        client_secret: secret,
        redirect_uris: [redirect],
        response_types: ["code"],
        grant_types: ["authorization_code", "client_credentials"],
      },
    ],
    // amr is released with a scope, or not at all.
    claims: { openid: ["sub", "amr"], profile: ["roles", "staff"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["of a test"] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          if (resource !== api) throw new errors.InvalidTarget();
          return { scope: "loa:gui", audience: api, accessTokenFormat: "jwt", accessTokenTTL: 600 };
        },
      },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, staff: person, roles: ["loa-kiem-tra", "khac"] }),
    }),
  });
  provider.use(async (context, next) => {
    if (!context.path.startsWith("/interaction/")) return next();
    const { prompt, session, params } = await provider.interactionDetails(context.req, context.res);
    const result = {};
    if (prompt.name === "login") {
      result.login = { accountId: "42", amr: ["pwd", "mfa"] };
    } else {
      const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope("openid profile");
      result.consent = { grantId: await grant.save() };
    }
    context.respond = false;
    await provider.interactionFinished(context.req, context.res, result, { mergeWithLastSubmission: true });
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
