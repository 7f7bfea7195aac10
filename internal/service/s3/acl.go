package s3

import (
	"encoding/hex"
	"net/http"
	"reflect"
	"slices"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Access control lists of buckets and objects are checked, kept and returned. Nobody is let in by one, as nobody is by a bucket policy.
//
// Sources: S3 User Guide, "Access control list (ACL) overview", "Controlling ownership of objects and disabling ACLs", "Blocking public access".

const (
	aclSetting = "acl"
	// maxGrants bounds a list. Source: S3 User Guide, "Access control list (ACL) overview".
	maxGrants = 100

	allUsers           = "http://acs.amazonaws.com/groups/global/AllUsers"
	authenticatedUsers = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
	logDelivery        = "http://acs.amazonaws.com/groups/s3/LogDelivery"
	// ec2Team is the canonical user that reads bundles of machine images.
	ec2Team = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
)

// grant is one entry of a list: a permission for an account's canonical id or for a group.
type grant struct {
	Permission string `json:"p"`
	ID         string `json:"i,omitempty"`
	URI        string `json:"u,omitempty"`
}

func (g grant) public() bool { return g.URI == allUsers || g.URI == authenticatedUsers }

// aclRequest is what a request says of a list: a canned one's name, or grants.
type aclRequest struct {
	canned string
	grants []grant
}

// grantHeaders are the members of inputs that give grants, with what they permit.
func grantHeaders() [5][3]string {
	return [5][3]string{
		{"GrantFullControl", "x-amz-grant-full-control", api.PermissionFULLCONTROL}, {"GrantRead", "x-amz-grant-read", api.PermissionREAD},
		{"GrantWrite", "x-amz-grant-write", api.PermissionWRITE}, {"GrantReadACP", "x-amz-grant-read-acp", api.PermissionREADACP},
		{"GrantWriteACP", "x-amz-grant-write-acp", api.PermissionWRITEACP},
	}
}

func bucketACLs() []string {
	return []string{api.BucketCannedACLPrivate, api.BucketCannedACLPublicRead, api.BucketCannedACLPublicReadWrite, api.BucketCannedACLAuthenticatedRead, "log-delivery-write"}
}

func objectACLs() []string {
	return []string{
		api.ObjectCannedACLPrivate, api.ObjectCannedACLPublicRead, api.ObjectCannedACLPublicReadWrite, api.ObjectCannedACLAuthenticatedRead,
		api.ObjectCannedACLAwsExecRead, api.ObjectCannedACLBucketOwnerRead, api.ObjectCannedACLBucketOwnerFullControl,
	}
}

// requestedACL reads what the headers of the input that in points to say of a list, which may be one of the canned ones; nil for nothing.
func requestedACL(in any, canned []string) (*aclRequest, error) {
	req := new(aclRequest)
	given := false
	v := reflect.ValueOf(in).Elem()
	if f := v.FieldByName("ACL"); f.IsValid() && !f.IsNil() {
		given = true
		if req.canned = text(in, "ACL"); !slices.Contains(canned, req.canned) {
			return nil, invalidArgument("x-amz-acl", shortText(req.canned), "")
		}
	}
	for _, h := range grantHeaders() {
		f := v.FieldByName(h[0])
		if !f.IsValid() || f.IsNil() {
			continue
		}
		if given = true; req.canned != "" {
			return nil, cloud.Errorf("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
		}
		grants, err := headerGrants(h[1], text(in, h[0]), h[2])
		if err != nil {
			return nil, err
		}
		req.grants = append(req.grants, grants...)
	}
	if !given {
		return nil, nil
	}
	return req, tooManyGrants(len(req.grants))
}

func tooManyGrants(n int) error {
	if n > maxGrants {
		return malformedACL()
	}
	return nil
}

func malformedACL() *cloud.Error {
	return cloud.Errorf("MalformedACLError", "The XML you provided was not well-formed or did not validate against our published schema")
}

// headerGrants reads a header with grantees: KIND="VALUE", separated by commas.
func headerGrants(header, value, permission string) (out []grant, err error) {
	for one := range strings.SplitSeq(value, ",") {
		kind, who, ok := strings.Cut(strings.TrimSpace(one), "=")
		who = strings.Trim(strings.TrimSpace(who), `"`)
		g := grant{Permission: permission}
		switch kind = strings.ToLower(strings.TrimSpace(kind)); {
		case ok && kind == "uri":
			g.URI, err = who, checkGroup("uri", who)
		case ok && kind == "id":
			g.ID, err = who, checkCanonicalID("id", who)
		case ok && kind == "emailaddress":
			err = unknownEmail()
		default:
			err = invalidArgument(header, shortText(value), "Argument format not recognized")
		}
		if err != nil {
			return nil, err
		}
		out = append(out, g)
		if err := tooManyGrants(len(out)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func unknownEmail() *cloud.Error {
	return cloud.Errorf("UnresolvableGrantByEmailAddress", "The e-mail address you provided does not match any account on record.")
}

func checkGroup(argument, uri string) error {
	if !slices.Contains([]string{allUsers, authenticatedUsers, logDelivery}, uri) {
		return invalidArgument(argument, uri, "Invalid group uri")
	}
	return nil
}

// checkCanonicalID takes every id of the right form: there is no list of the accounts of other clouds.
func checkCanonicalID(argument, id string) error {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 32 {
		return invalidArgument(argument, id, "Invalid id")
	}
	return nil
}

// policyGrants reads a list that is the body of a request.
func policyGrants(p *api.AccessControlPolicy) (*aclRequest, error) {
	if p.Owner == nil || wire.Value(p.Owner.ID) == "" {
		return nil, malformedACL()
	}
	req := &aclRequest{grants: []grant{}} // a list may be empty, which is another one than none
	for i := range p.Grants {
		if g := &p.Grants[i]; g.Grantee == nil || !inModel("Permission", wire.Value(g.Permission)) || !inModel("Type", g.Grantee.Type) {
			return nil, malformedACL()
		}
	}
	if err := checkCanonicalID("CanonicalUser/ID", *p.Owner.ID); err != nil {
		return nil, err
	}
	for i := range p.Grants {
		to := p.Grants[i].Grantee
		g := grant{Permission: *p.Grants[i].Permission}
		var err error
		switch to.Type {
		case api.TypeCanonicalUser:
			g.ID = wire.Value(to.ID)
			err = checkCanonicalID("CanonicalUser/ID", g.ID)
		case api.TypeGroup:
			g.URI = wire.Value(to.URI)
			err = checkGroup("Group/URI", g.URI)
		default:
			err = unknownEmail()
		}
		if err != nil {
			return nil, err
		}
		req.grants = append(req.grants, g)
	}
	return req, tooManyGrants(len(req.grants))
}

// expand returns the grants of a request, where owner owns what it is for.
func (req *aclRequest) expand(owner string) []grant {
	all := []grant{{Permission: api.PermissionFULLCONTROL, ID: owner}}
	to := func(uri string, permissions ...string) []grant {
		for _, p := range permissions {
			all = append(all, grant{Permission: p, URI: uri})
		}
		return all
	}
	switch req.canned {
	case "":
		return req.grants
	case api.ObjectCannedACLPublicRead:
		return to(allUsers, api.PermissionREAD)
	case api.ObjectCannedACLPublicReadWrite:
		return to(allUsers, api.PermissionREAD, api.PermissionWRITE)
	case api.ObjectCannedACLAuthenticatedRead:
		return to(authenticatedUsers, api.PermissionREAD)
	case "log-delivery-write":
		return to(logDelivery, api.PermissionWRITE, api.PermissionREADACP)
	case api.ObjectCannedACLAwsExecRead:
		return append(all, grant{Permission: api.PermissionREAD, ID: ec2Team})
	}
	// The owner of a bucket owns what is in it, so that what is said of the bucket's owner is said already.
	return all
}

// ownershipOf returns who owns what others write to a bucket. Buckets whose controls were deleted are as those of before there were any.
func ownershipOf(r kv.Reader, bucket string) (string, error) {
	var o ownership
	has, err := readSetting(r, bucket, ownershipSetting, &o)
	switch {
	case !has:
		return api.ObjectOwnershipBucketOwnerEnforced, err
	case o.Object == "":
		return api.ObjectOwnershipObjectWriter, err
	}
	return o.Object, err
}

// admitACL decides whether a bucket takes a list, for itself or for an object, and returns it. action is what a refusal names.
func admitACL(principal string, r kv.Reader, name string, b *bucket, req *aclRequest, action, resource string) ([]grant, error) {
	owner, err := ownershipOf(r, name)
	if err != nil {
		return nil, err
	}
	if owner == api.ObjectOwnershipBucketOwnerEnforced {
		if action == "s3:PutObject" && (req.canned == api.ObjectCannedACLPrivate || req.canned == api.ObjectCannedACLBucketOwnerFullControl) {
			return nil, nil
		}
		return nil, cloud.Errorf("AccessControlListNotSupported", "The bucket does not allow ACLs")
	}
	grants := req.expand(canonicalID(b.Account))
	if !slices.ContainsFunc(grants, grant.public) {
		return grants, nil
	}
	block, err := readAccess(r, name)
	if err != nil {
		return nil, err
	}
	if block != nil && wire.Value(block.BlockPublicAcls) {
		return nil, cloud.Errorf("AccessDenied", "User: %s is not authorized to perform: %s on resource: \"%s\" because public ACLs are prevented by the BlockPublicAcls setting "+
			"in S3 Block Public Access.", principal, action, resource).WithStatus(http.StatusForbidden)
	}
	return grants, nil
}

// showACL returns a list as answers have it. Nothing kept is the owner's list alone.
func showACL(grants []grant, account string) (*api.Owner, []api.Grant) {
	owner := canonicalID(account)
	if grants == nil {
		grants = (&aclRequest{canned: api.ObjectCannedACLPrivate}).expand(owner)
	}
	out := make([]api.Grant, 0, len(grants))
	for _, g := range grants {
		to := &api.Grantee{ID: &g.ID, Type: api.TypeCanonicalUser}
		if g.URI != "" {
			to = &api.Grantee{URI: &g.URI, Type: api.TypeGroup}
		}
		out = append(out, api.Grant{Grantee: to, Permission: &g.Permission})
	}
	return &api.Owner{ID: &owner}, out
}
