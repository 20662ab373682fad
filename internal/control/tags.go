package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"credence/internal/access"
	"credence/internal/fault"
	"credence/internal/iam"
	"credence/internal/store"
	"credence/internal/wire"
)

// maxTags of one resource.
const maxTags = 50

// taggable are the kinds of resources that may have tags, by what stands before the name in their ARN.
var taggable = map[string]store.Kind{
	"workload-identity-directory/": store.KindDirectory,
	workloadResource(""):           store.KindWorkload,
	"token-vault/":                 store.KindTokenVault,
	oauth2ProviderResource(""):     store.KindOAuth2Provider,
	apiKeyProviderResource(""):     store.KindAPIKeyProvider,
	paymentProviderResource(""):    store.KindPaymentProvider,
	consentPortalResource(""):      store.KindConsentPortal,
}

// taggedResource is a resource as the store knows it.
type taggedResource struct {
	kind store.Kind
	name string
	path string // of the ARN: under it the tags are kept
}

// tagged finds what an ARN of the caller's account names. What it cannot name here (another account, region or partition, another kind) is answered
// like what does not exist.
func (c *Control) tagged(caller iam.Caller, arn string) (taggedResource, error) {
	path, ok := c.ARNs.Path(caller.Account, arn)
	slash := strings.LastIndexByte(path, '/') + 1
	kind, known := taggable[path[:slash]]
	if !ok || !known {
		return taggedResource{}, notFound(fault.NotFound, arn)
	}
	return taggedResource{kind, path[slash:], path}, nil
}

// checkTags refuses tags that only AWS itself may give.
func checkTags(tags map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if strings.HasPrefix(strings.ToLower(name), "aws:") {
			return fault.Invalid(fmt.Sprintf("tags[%q]", name), "the prefix aws: is reserved")
		}
	}
	return nil
}

// TagResource adds tags to a resource and replaces those of the same name.
func (c *Control) TagResource(_ context.Context, caller iam.Caller, in *wire.TagResourceInput) (*wire.TagResourceOutput, error) {
	if err := c.allowTagged(caller, "TagResource", in.Tags, in.ResourceArn); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	r, err := c.tagged(caller, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	err = c.Store.PutTags(caller.Account, r.kind, r.name, store.Tags{Resource: r.path, Values: in.Tags}, maxTags)
	if errors.Is(err, fault.Quota) {
		return nil, fault.New(fault.Quota, "With these tags the resource would have more than %d: remove some first", maxTags)
	}
	return &wire.TagResourceOutput{}, notFound(err, in.ResourceArn)
}

// UntagResource removes those of the named tags that the resource has.
func (c *Control) UntagResource(_ context.Context, caller iam.Caller, in *wire.UntagResourceInput) (*wire.UntagResourceOutput, error) {
	if err := c.Gate.Allow(caller, access.Request{Action: service + "UntagResource", Resources: []string{in.ResourceArn}, TagKeys: in.TagKeys}); err != nil {
		return nil, err
	}
	r, err := c.tagged(caller, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &wire.UntagResourceOutput{}, notFound(c.Store.RemoveTags(caller.Account, r.kind, r.name, r.path, in.TagKeys), in.ResourceArn)
}

// ListTagsForResource lists the tags of a resource.
func (c *Control) ListTagsForResource(ctx context.Context, caller iam.Caller, in *wire.ListTagsForResourceInput) (*wire.ListTagsForResourceOutput, error) {
	if err := c.allow(caller, "ListTagsForResource", in.ResourceArn); err != nil {
		return nil, err
	}
	r, err := c.tagged(caller, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if err := c.Store.Exists(ctx, caller.Account, r.kind, r.name); err != nil {
		return nil, notFound(err, in.ResourceArn)
	}
	tags, err := c.Store.Tags(ctx, caller.Account, r.path)
	if err != nil {
		return nil, err
	}
	return &wire.ListTagsForResourceOutput{Tags: tags}, nil
}
