# shellcheck shell=bash
# What the scripts beside this one share: how they read their options, and what they need. For sourcing; whoever does
# defines `usage` before.

wrong() {
  echo "Error: $1 See --help." >&2
  exit 2
}

# read_options "NAME …" ARGUMENT…: sets a variable for each option that is given, --stack-name as stack_name.
read_options() {
  local known=" $1 " name
  shift
  while [ $# -gt 0 ]; do
    case $1 in -h | --help) usage && exit 0 ;; esac
    name=${1#--}
    [[ $1 == --* && $name != *" "* && $known == *" $name "* ]] || wrong "There is no option $1."
    [ $# -ge 2 ] || wrong "$1 needs a value."
    printf -v "${name//-/_}" %s "$2"
    shift 2
  done
}

need_aws() {
  command -v aws >/dev/null || { echo "Error: The AWS CLI is missing (aws)." >&2; exit 1; }
}

# default_stack PREFIX: what the main stack is called, and what the single stacks' names begin with.
default_stack() { echo "${1:+$1-}ecommerce-serverless-poc"; }

# print_endpoint STACK: where orders go.
print_endpoint() {
  aws cloudformation describe-stacks --stack-name "$1" \
    --query "Stacks[0].Outputs[?OutputKey=='ApiEndpoint'].OutputValue" --output text
}

# The region that the AWS CLI goes to.
this_region() {
  local region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
  echo "${region:-us-east-1}"
}

# refuse_other_regions PREFIX: IAM keeps roles and policies once for all regions of an account. Where those of this prefix
# serve another region, CloudFormation would fail after a while; this says so at once, and with which region.
refuse_other_regions() {
  local here name arn of path="/ecommerce-serverless-poc/${1:-default}/"
  here=$(this_region)
  for name in Lambda-SQS-DynamoDB Lambda-DynamoDB-SNS APIGateway-SQS; do
    name=${1:+$1-}$name
    # What is missing, and what may not be looked at, is CloudFormation's to find out.
    of=$(aws iam get-role --role-name "$name" --query "Role.Tags[?Key=='Region'].Value | [0]" --output text 2>/dev/null) || continue
    [ "$of" = None ] || [ "$of" = "$here" ] || taken "role $name" "$of" "$here"
  done
  for arn in $(aws iam list-policies --scope Local --path-prefix "$path" --query 'Policies[].Arn' --output text 2>/dev/null); do
    [ "$arn" != None ] || continue
    of=$(aws iam get-policy --policy-arn "$arn" --query Policy.Description --output text 2>/dev/null) || continue
    [ "$of" = "Orders workshop, region $here" ] || taken "policy ${arn##*/}" "${of##*region }" "$here"
  done
}

taken() {
  if [ "$2" = None ]; then
    echo "Error: The $1 doesn't say which region it belongs to: an older version made it. Delete that with its own version first." >&2
  else
    echo "Error: The $1 belongs to region $2, and IAM keeps one of that name for all regions. Choose another --prefix, or deploy to $2 instead of $3." >&2
  fi
  exit 1
}

# The bucket that deploy.sh makes, and that delete.sh may take away.
own_bucket() {
  local account
  account=$(aws sts get-caller-identity --query Account --output text) || return
  echo "ecommerce-serverless-poc-$account-$(this_region)-templates"
}
