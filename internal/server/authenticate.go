package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"croft/internal/cloud"
	"croft/internal/identity"
	"croft/internal/service"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// developmentKey is an access key that every cloud on a loopback address knows, with the secret of the same spelling: what
// people put into an AWS profile for local work.
const developmentKey = "test"

// authenticate finds out who signed the request.
//
// Keys that this cloud issued, and the development key, are verified. A server on a loopback address also takes access keys that it
// does not know, so that tools work with whatever credentials they have; such a request is the root user's, of the account that
// the key names if it has twelve digits. Its signature cannot be checked, its form and date are. In a function's
// environment only the credentials of its own role are taken. verify checks the signature itself.
func (s *Server) authenticate(
	r *request, api *wire.Service, x *wire.Exchange, scope sigv4.Scope, verify func(time.Time, sigv4.Keys) *cloud.Error,
) (*cloud.Call, *cloud.Error) {
	call, cerr := s.identify(r, api.SigningName, scope, verify)
	if cerr != nil {
		return nil, s.spell(x, cerr)
	}
	return call, nil
}

// identify is authenticate with errors that are spelled as sigv4 does. signing is the service that the signature must be scoped to.
func (s *Server) identify(r *request, signing string, scope sigv4.Scope, verify func(time.Time, sigv4.Keys) *cloud.Error) (*cloud.Call, *cloud.Error) {
	if scope.AccessKey == "" {
		return nil, s.unsigned(r, nil)
	}
	if cerr := checkScope(scope, signing); cerr != nil {
		return nil, cerr
	}
	call := s.call(r)
	call.Region = scope.Region
	keys := &keyRing{server: s, scope: scope, env: r.env, account: s.Account, issuedOnly: r.issuedKeys}
	if cerr := verify(call.Now, keys); cerr != nil {
		return nil, cerr
	}
	call.Account, call.Principal = keys.account, keys.principal
	return call, nil
}

// visitor finds out who signed a request to a front door.
func (s *Server) visitor(r *request) service.Authenticator {
	return func(body []byte, signing string) (*cloud.Call, error) {
		scope, _ := sigv4.Parse(r.Request)
		call, cerr := s.identify(r, signing, scope, func(now time.Time, keys sigv4.Keys) *cloud.Error {
			_, cerr := s.verifier.Verify(r.Request, body, now, keys)
			return cerr
		})
		if cerr != nil {
			named := *cerr
			named.Code = jsonSpelling(cerr.Code)
			return nil, &named
		}
		return call, nil
	}
}

// unsigned says what is wrong with a request that presents no complete signature.
func (s *Server) unsigned(r *request, body []byte) *cloud.Error {
	_, cerr := s.verifier.Verify(r.Request, body, s.Clock.Now(), &keyRing{server: s})
	if cerr == nil {
		return sigv4.UnknownKey("")
	}
	return cerr
}

// checkScope checks the region and service of a signature's scope.
func checkScope(scope sigv4.Scope, signing string) *cloud.Error {
	if !isRegion(scope.Region) {
		return cloud.Errorf(sigv4.SignatureDoesNotMatch, "Credential should be scoped to a valid region.").WithStatus(http.StatusForbidden)
	}
	if scope.Service != signing {
		return cloud.Errorf(sigv4.SignatureDoesNotMatch, "Credential should be scoped to correct service: '%s'. ", signing).WithStatus(http.StatusForbidden)
	}
	return nil
}

// isRegion reports whether s has the form of a region: "us-east-1", "us-gov-west-1".
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) < 3 || len(parts) > 5 || len(parts[0]) != 2 || len(s) > 32 {
		return false
	}
	for i, p := range parts {
		lo, hi := byte('a'), byte('z')
		if i == len(parts)-1 {
			lo, hi = '0', '9'
		}
		if p == "" || strings.ContainsFunc(p, func(c rune) bool { return c < rune(lo) || c > rune(hi) }) {
			return false
		}
	}
	return true
}

// keyRing looks up the secret of the one access key of a request, and learns whom it stands for.
type keyRing struct {
	server    *Server
	scope     sigv4.Scope
	env       *Environment
	account   string
	principal cloud.Principal
	// issuedOnly refuses keys that clients make up.
	issuedOnly bool
}

// Secret implements sigv4.Keys.
func (k *keyRing) Secret(_ context.Context, accessKey string) (secret string, known bool, err error) {
	if k.scope.Token != "" {
		session, err := k.server.Keys.Open(k.scope.Token, accessKey)
		switch {
		case err == nil && (k.env == nil || k.env.Function == session.Function):
			k.account = session.Account
			k.principal = cloud.Principal{Kind: cloud.AssumedRole, Account: session.Account, ARN: session.ARN, UserID: session.UserID, AccessKeyID: accessKey}
			return k.server.Keys.Secret(accessKey), true, nil
		case errors.Is(err, identity.ErrExpired):
			return "", false, cloud.Errorf("ExpiredToken", "The security token included in the request is expired").WithStatus(http.StatusForbidden)
		}
	}
	if k.env != nil {
		return "", false, sigv4.UnknownKey(k.scope.Service)
	}
	if account, issued := k.server.Keys.RootAccount(accessKey); issued {
		k.setRoot(account, accessKey)
		return k.server.Keys.Root(account).SecretAccessKey, true, nil
	}
	if k.issuedOnly {
		return "", false, forbidden("Pages of another site may show only what is presigned with credentials that the cloud gave out: those of a function, of STS or of croft env.")
	}
	account := k.account
	if cloud.IsAccount(accessKey) {
		account = accessKey
	}
	k.setRoot(account, accessKey)
	if accessKey == developmentKey {
		return developmentKey, true, nil
	}
	return "", false, nil
}

func (k *keyRing) setRoot(account, accessKey string) {
	k.account = account
	k.principal = cloud.Principal{
		Kind: cloud.Root, Account: account, UserID: account, AccessKeyID: accessKey,
		ARN: "arn:" + cloud.Partition + ":iam::" + account + ":root",
	}
}

// jsonSpelling is how the JSON protocols name the errors of authentication.
func jsonSpelling(code string) string {
	switch code {
	case sigv4.SignatureDoesNotMatch:
		return "InvalidSignatureException"
	case sigv4.InvalidClientTokenID:
		return "UnrecognizedClientException"
	case "ExpiredToken", sigv4.IncompleteSignature, sigv4.MissingAuthenticationToken:
		return code + "Exception"
	}
	return code
}

// spell names an error of authentication as the request's protocol does.
func (s *Server) spell(x *wire.Exchange, e *cloud.Error) *cloud.Error {
	c := *e
	if x.Service.S3Rules && e.Code == sigv4.MissingAuthenticationToken {
		// To S3 such a request is anybody's, and may do nothing.
		c.Code, c.Message = "AccessDenied", "Access Denied"
		return &c
	}
	if x.Protocol != wire.AWSJSON && x.Protocol != wire.RESTJSON && x.Protocol != wire.RPCv2CBOR {
		return e
	}
	c.Code = jsonSpelling(e.Code)
	if x.Protocol != wire.RESTJSON {
		c.Status = http.StatusBadRequest
	}
	return &c
}
