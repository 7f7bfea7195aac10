package template

import (
	"regexp"
	"strings"

	"croft/internal/cloud"
)

// Pseudo holds what the pseudo parameters stand for.
type Pseudo struct {
	AccountID        string
	Region           string
	StackID          string
	StackName        string
	NotificationARNs []string
}

const noValue = "AWS::NoValue"

func isPseudo(name string) bool {
	switch name {
	case "AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix", "AWS::NotificationARNs", noValue:
		return true
	}
	return false
}

// value returns the value of a pseudo parameter, nil for AWS::NoValue.
func (p *Pseudo) value(name string) *Value {
	switch name {
	case "AWS::AccountId":
		return NewString(p.AccountID)
	case "AWS::Region":
		return NewString(p.Region)
	case "AWS::Partition":
		return NewString(cloud.Partition)
	case "AWS::StackId":
		return NewString(p.StackID)
	case "AWS::StackName":
		return NewString(p.StackName)
	case "AWS::URLSuffix":
		return NewString("amazonaws.com")
	case "AWS::NotificationARNs":
		list := NewList()
		for _, arn := range p.NotificationARNs {
			list.items = append(list.items, NewString(arn))
		}
		return list
	}
	return nil
}

// zones returns the availability zones of a region, which by croft's rule are its first three.
func (p *Pseudo) zones(region string, at Pos) (*Value, error) {
	if region == "" {
		region = p.Region
	}
	if ok, err := regexp.MatchString(`^[a-z]{2}(-[a-z]{1,16}){1,3}-[0-9]{1,2}$`, region); err != nil || !ok {
		return nil, errorAt(at, "Template error: Fn::GetAZs names no region: %s", clip(region))
	}
	list := NewList()
	for _, zone := range strings.Split("abc", "") {
		list.items = append(list.items, NewString(region+zone))
	}
	return list, nil
}
