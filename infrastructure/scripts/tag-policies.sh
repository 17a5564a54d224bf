#!/usr/bin/env bash
# Tag the policies of the IAM stack, which CloudFormation cannot do:
# https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1010
# deploy.sh and deploy-single-stacks.sh call this.
set -euo pipefail

case ${1:-} in
  -h | --help) echo "Usage: tag-policies.sh IAM_STACK ENVIRONMENT [PREFIX]" && exit 0 ;;
esac
[ $# -ge 2 ] || { echo "Error: Which stack, which environment? See --help." >&2; exit 2; }

policies=$(aws cloudformation describe-stack-resources --stack-name "$1" \
  --query "StackResources[?ResourceType=='AWS::IAM::ManagedPolicy'].PhysicalResourceId" --output text)
for policy in $policies; do
  aws iam tag-policy --policy-arn "$policy" --tags \
    Key=Project,Value=ecommerce-serverless-poc "Key=Environment,Value=$2" "Key=Participant,Value=${3:-default}"
done
