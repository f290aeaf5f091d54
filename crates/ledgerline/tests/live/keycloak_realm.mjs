// The realm of the test: what matters is which events are written, that refresh tokens are rotated
// and that a token may be exchanged. Secrets and passwords are of this test alone.

/** Named one by one: an empty list stores LOGIN, but not REFRESH_TOKEN or INTROSPECT_TOKEN. */
const TYPES = ['LOGIN', 'LOGOUT', 'CODE_TO_TOKEN', 'CLIENT_LOGIN', 'REFRESH_TOKEN',
  'VALIDATE_ACCESS_TOKEN', 'INTROSPECT_TOKEN', 'USER_INFO_REQUEST', 'REVOKE_GRANT',
  'TOKEN_EXCHANGE', 'UPDATE_PASSWORD', 'UPDATE_CREDENTIAL', 'REGISTER']

export const REALM = 'alpha'
export const secretOf = (client) => `secret-of-${client}-9Xw2LmQe71`
export const passwordOf = (user) => `password-of-${user}-4Rt8Zk`

/** Without a name and an address a direct grant says that the account is not set up. */
const user = (username) => ({
  username, enabled: true, email: `${username}@example.test`, emailVerified: true,
  firstName: 'User', lastName: username,
  credentials: [{ type: 'password', value: passwordOf(username), temporary: false }],
  realmRoles: ['offline_access', `default-roles-${REALM}`],
})

const client = (clientId, more) => ({
  clientId, secret: secretOf(clientId), enabled: true, publicClient: false,
  protocol: 'openid-connect', standardFlowEnabled: false, directAccessGrantsEnabled: false, ...more,
})

export function realm(users) {
  return {
    realm: REALM,
    enabled: true,
    sslRequired: 'none',
    accessTokenLifespan: 600,
    revokeRefreshToken: true,
    refreshTokenMaxReuse: 0,
    eventsEnabled: true,
    eventsExpiration: 86400,
    adminEventsEnabled: true,
    adminEventsDetailsEnabled: true,
    eventsListeners: ['jboss-logging', 'ssf-events'],
    enabledEventTypes: TYPES.flatMap((type) => [type, `${type}_ERROR`]),
    attributes: { 'ssf.transmitterEnabled': 'true' },
    users: [
      ...users.map(user),
      { username: 'service-account-receiver', enabled: true, serviceAccountClientId: 'receiver' },
    ],
    clients: [
      client('web', {
        standardFlowEnabled: true,
        directAccessGrantsEnabled: true,
        redirectUris: ['https://web.test/*'],
        // Only a client that stands in `aud` may exchange the token.
        protocolMappers: [{
          name: 'aud-gateway', protocol: 'openid-connect',
          protocolMapper: 'oidc-audience-mapper',
          config: { 'included.client.audience': 'gateway', 'access.token.claim': 'true',
            'id.token.claim': 'false' },
        }],
      }),
      client('gateway', {
        serviceAccountsEnabled: true,
        attributes: { 'standard.token.exchange.enabled': 'true' },
      }),
      client('worker', { serviceAccountsEnabled: true }),
      client('receiver', {
        serviceAccountsEnabled: true,
        attributes: {
          'ssf.enabled': 'true',
          'ssf.defaultSubjects': 'ALL',
          'ssf.allowedDeliveryMethods': 'poll',
          'ssf.requireServiceAccount': 'true',
        },
      }),
    ],
  }
}
