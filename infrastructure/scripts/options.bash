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

# The bucket that deploy.sh makes, and that delete.sh may take away.
own_bucket() {
  local account region
  account=$(aws sts get-caller-identity --query Account --output text) || return
  region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
  echo "ecommerce-serverless-poc-$account-${region:-us-east-1}-templates"
}
