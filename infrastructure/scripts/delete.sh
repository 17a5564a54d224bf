#!/usr/bin/env bash
# Delete what deploy.sh or deploy-single-stacks.sh made: the stacks with all that is in them, and the packaged templates.
set -euo pipefail

usage() {
  cat <<'END'
Usage: delete.sh [--prefix PREFIX] [--stack-name NAME] [--bucket NAME]

  --prefix      as given to the deployment
  --stack-name  as given to the deployment (default: ecommerce-serverless-poc, with the prefix before it)
  --bucket      as given to deploy.sh

Deletes the main stack, the six single stacks (whichever there are), and their packaged templates; the bucket too, if
it is deploy.sh's own and nobody else's templates are in it.
The orders in the table and in the queues are lost.
Exit code: 0 nothing is left, 1 something is, 2 wrong usage.
END
}

# shellcheck source=/dev/null
. "$(dirname "$0")/options.bash"
prefix="" stack_name="" bucket=""
read_options "prefix stack-name bucket" "$@"
need_aws

stack=${stack_name:-$(default_stack "$prefix")}
own_bucket=$(own_bucket)
bucket=${bucket:-$own_bucket}

# Backwards: nothing goes before what uses it.
standing=" $(aws cloudformation describe-stacks --query 'Stacks[].StackName' --output text | tr '\t\n' '  ') "
for name in "$stack" "$stack-api" "$stack-sns" "$stack-lambda" "$stack-sqs" "$stack-dynamodb" "$stack-iam"; do
  [[ $standing == *" $name "* ]] || continue
  aws cloudformation delete-stack --stack-name "$name"
  if ! aws cloudformation wait stack-delete-complete --stack-name "$name"; then
    echo "Error: The stack $name is not deleted. Why: aws cloudformation describe-stack-events --stack-name $name" >&2
    exit 1
  fi
  echo "deleted $name"
done
if aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
  aws s3 rm "s3://$bucket/$stack/" --recursive >/dev/null
  # A bucket with something in it is not removed, and that is right.
  if [ "$bucket" = "$own_bucket" ] && aws s3 rb "s3://$bucket" >/dev/null 2>&1; then
    echo "deleted s3://$bucket"
  fi
fi
