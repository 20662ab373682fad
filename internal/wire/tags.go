package wire

// TagResourceInput is the request of TagResource. Tags of the same name are replaced, others stay.
type TagResourceInput struct {
	ResourceArn string            `json:"resourceArn" path:"resourceArn" wire:"required,len=20..1011,pattern=taggableArn"`
	Tags        map[string]string `json:"tags" wire:"required,items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}

// TagResourceOutput is the answer of TagResource.
type TagResourceOutput struct{}

// UntagResourceInput is the request of UntagResource.
type UntagResourceInput struct {
	ResourceArn string   `json:"resourceArn" path:"resourceArn" wire:"required,len=20..1011,pattern=taggableArn"`
	TagKeys     []string `json:"tagKeys" query:"tagKeys" wire:"required,items=0..200,each.len=1..128,each.pattern=tag"`
}

// UntagResourceOutput is the answer of UntagResource.
type UntagResourceOutput struct{}

// ListTagsForResourceInput is the request of ListTagsForResource.
type ListTagsForResourceInput struct {
	ResourceArn string `json:"resourceArn" path:"resourceArn" wire:"required,len=20..1011,pattern=taggableArn"`
}

// ListTagsForResourceOutput is the answer of ListTagsForResource.
type ListTagsForResourceOutput struct {
	Tags map[string]string `json:"tags,omitzero" wire:"items=0..50,key.len=1..128,key.pattern=tag,value.len=0..256,value.pattern=tag"`
}
