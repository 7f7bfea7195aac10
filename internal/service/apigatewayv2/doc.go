// Package apigatewayv2 is Amazon API Gateway's HTTP APIs in front of Lambda functions: the API that manages them and the front door that
// serves them.
//
// What is here: APIs of protocol HTTP with routes, Lambda proxy integrations of payload formats 1.0 and 2.0, stages, CORS, OpenAPI 3
// definitions in CloudFormation. What is not: WebSocket APIs, authorizers, other integrations, parameter mapping, access logs,
// throttling, custom domains, deployments of one's own. Each is refused by name.
//
// Invariants:
//
//   - An API with its routes, integrations and stages is one row: a request is served from one consistent state of it.
//   - API ids are unique across accounts and regions; the index is written and removed with the API.
//   - A stage that deploys automatically serves the API as it is. One that does not has no deployment and serves nothing.
//
// Key layout:
//
//	in the space of account, region and service:  'a' api id   the API, JSON
//	in the service's shared space:                'i' api id   where it lies: account and region, JSON
package apigatewayv2
