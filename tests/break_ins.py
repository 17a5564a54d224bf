"""What alice, a participant, could try to get at what is not hers, and what she needs: calls with their keys."""

ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE, POLICY = f"arn:aws:iam::{ACCOUNT}:role/", f"arn:aws:iam::{ACCOUNT}:policy/"
PATH, BOUNDARY = f"{POLICY}ecommerce-serverless-poc/", f"{POLICY}ecommerce-serverless-poc-boundary"
APIS = f"arn:aws:apigateway:{REGION}::"
TAGS_OF = f"{APIS}/tags/arn%3Aaws%3Aapigateway%3A{REGION}%3A%3A%2Frestapis%2F"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/"
TABLES, TOPICS = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/", f"arn:aws:sns:{REGION}:{ACCOUNT}:"
MAPPING = f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
BOUNDED, LOOSE = {"iam:PermissionsBoundary": BOUNDARY}, {"iam:PermissionsBoundary": f"{PATH}alice/loose"}
ALICES, BOBS = "aws:RequestTag/Participant=alice", "aws:RequestTag/Participant=bob"
OF_ALICE, OF_BOB = "aws:ResourceTag/Participant=alice", "aws:ResourceTag/Participant=bob"
FUNCTION = "lambda:FunctionArn"


def function(name: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def queue(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def tags(*pairs: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in pairs)


#: What alice could try, by way: (action, resource, the condition keys of the call).
TRIED: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "create a role without the boundary": [
        ("iam:CreateRole", f"{ROLE}alice-Lambda-SQS-DynamoDB", {}),
        ("iam:CreateRole", f"{ROLE}alice-Lambda-SQS-DynamoDB", LOOSE),
        ("iam:CreateRole", f"{ROLE}alice-Lambda-SQS-DynamoDB", {"iam:PermissionsBoundary": ADMINISTRATOR}),
    ],
    "create a role with another name, or in a path": [
        ("iam:CreateRole", f"{ROLE}administrator", BOUNDED),
        ("iam:CreateRole", f"{ROLE}alice-administrator", BOUNDED),
        ("iam:CreateRole", f"{ROLE}alice/alice-Lambda-SQS-DynamoDB", BOUNDED),
    ],
    "attach a policy to your own role that has no boundary": [
        ("iam:AttachRolePolicy", f"{ROLE}alice-APIGateway-SQS", {"iam:PolicyARN": f"{PATH}alice/everything"}),
        ("iam:AttachRolePolicy", f"{ROLE}alice-APIGateway-SQS", LOOSE | {"iam:PolicyARN": f"{PATH}alice/everything"}),
    ],
    "attach an AWS managed policy or someone else's policy": [
        ("iam:AttachRolePolicy", f"{ROLE}alice-APIGateway-SQS", BOUNDED | {"iam:PolicyARN": ADMINISTRATOR}),
        ("iam:AttachRolePolicy", f"{ROLE}alice-APIGateway-SQS", BOUNDED | {"iam:PolicyARN": f"{PATH}bob/x"}),
        ("iam:AttachRolePolicy", f"{ROLE}bob-APIGateway-SQS", BOUNDED | {"iam:PolicyARN": f"{PATH}alice/x"}),
    ],
    "add an inline policy to a role": [("iam:PutRolePolicy", f"{ROLE}alice-APIGateway-SQS", BOUNDED)],
    "remove or replace a role's boundary": [
        ("iam:DeleteRolePermissionsBoundary", f"{ROLE}alice-APIGateway-SQS", BOUNDED),
        ("iam:PutRolePermissionsBoundary", f"{ROLE}alice-APIGateway-SQS", BOUNDED),
        ("iam:PutRolePermissionsBoundary", f"{ROLE}alice-APIGateway-SQS", LOOSE),
    ],
    "rewrite the boundary policy": [
        ("iam:CreatePolicyVersion", BOUNDARY, {}),
        ("iam:SetDefaultPolicyVersion", BOUNDARY, {}),
        ("iam:DeletePolicyVersion", BOUNDARY, {}),
        ("iam:DeletePolicy", BOUNDARY, {}),
        ("iam:CreatePolicy", BOUNDARY, {}),
    ],
    "change someone else's policy": [
        ("iam:CreatePolicyVersion", f"{PATH}bob/bob-Lambda-Put-DynamoDB", {}),
        ("iam:CreatePolicyVersion", f"{POLICY}workshop-alice", {}),
        ("iam:CreatePolicy", f"{PATH}alice-2/x", {}),
    ],
    "change the trust policy of a role without the boundary": [
        ("iam:UpdateAssumeRolePolicy", f"{ROLE}alice-APIGateway-SQS", {}),
        ("iam:UpdateAssumeRolePolicy", f"{ROLE}alice-APIGateway-SQS", LOOSE),
    ],
    "assume someone else's role, or change its trust policy": [
        ("iam:UpdateAssumeRolePolicy", f"{ROLE}bob-APIGateway-SQS", BOUNDED),
        ("iam:UpdateAssumeRolePolicy", f"{ROLE}administrator", BOUNDED),
        ("sts:AssumeRole", f"{ROLE}bob-APIGateway-SQS", {}),
        ("sts:AssumeRole", f"{ROLE}administrator", {}),
    ],
    "run code with someone else's role": [
        ("iam:PassRole", f"{ROLE}administrator", {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("iam:PassRole", f"{ROLE}bob-Lambda-SQS-DynamoDB", {"iam:PassedToService": "lambda.amazonaws.com"}),
        ("iam:PassRole", f"{ROLE}alice-Lambda-SQS-DynamoDB", {"iam:PassedToService": "ec2.amazonaws.com"}),
        ("iam:PassRole", f"{ROLE}alice-Lambda-SQS-DynamoDB", {}),
    ],
    "give yourself permissions": [
        (f"iam:{action}", f"arn:aws:iam::{ACCOUNT}:user/alice", {"aws:username": "alice"})
        for action in ("PutUserPolicy", "AttachUserPolicy", "CreateAccessKey", "CreateLoginProfile", "AddUserToGroup",
                       "PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary", "CreateUser")
    ],
    "change or invoke someone else's function": [
        (f"lambda:{action}", function("bob-POC-Lambda-1"), {})
        for action in ("UpdateFunctionCode", "UpdateFunctionConfiguration", "InvokeFunction", "TagResource",
                       "AddPermission", "DeleteFunction")
    ],
    "let others invoke your function": [("lambda:AddPermission", function("alice-POC-Lambda-1"), {})],
    "create a trigger for someone else's function": [
        ("lambda:CreateEventSourceMapping", "*", {FUNCTION: function("bob-POC-Lambda-1")} | tags(ALICES)),
        ("lambda:CreateEventSourceMapping", "*", {FUNCTION: function("alice-POC-Lambda-1")} | tags(BOBS)),
        ("lambda:CreateEventSourceMapping", "*", tags(ALICES)),
        ("lambda:UpdateEventSourceMapping", f"{MAPPING}1", {FUNCTION: function("bob-POC-Lambda-1")}),
        ("lambda:DeleteEventSourceMapping", f"{MAPPING}1", {FUNCTION: function("bob-POC-Lambda-1")}),
    ],
    "tag a resource as someone else's": [
        ("iam:CreateRole", f"{ROLE}alice-APIGateway-SQS", BOUNDED | tags(BOBS)),
        ("iam:TagRole", f"{ROLE}alice-APIGateway-SQS", tags(BOBS)),
        ("dynamodb:CreateTable", f"{TABLES}alice-ecommerce-orders", tags(BOBS)),
        ("dynamodb:TagResource", f"{TABLES}alice-ecommerce-orders", tags(BOBS)),
        ("sqs:CreateQueue", queue("alice-ecommerce-orders-queue"), tags(BOBS)),
        ("sqs:TagQueue", queue("alice-ecommerce-orders-queue"), tags(BOBS)),
        ("logs:CreateLogGroup", f"{LOGS}alice-POC-Lambda-1", tags(BOBS)),
        ("logs:TagResource", f"{LOGS}alice-POC-Lambda-1", tags(BOBS)),
        ("sns:CreateTopic", f"{TOPICS}alice-ecommerce-orders-topic", tags(BOBS)),
        ("sns:TagResource", f"{TOPICS}alice-ecommerce-orders-topic", tags(BOBS)),
        ("lambda:CreateFunction", function("alice-POC-Lambda-1"), tags(BOBS)),
        ("lambda:TagResource", function("alice-POC-Lambda-1"), tags(BOBS)),
        ("lambda:TagResource", f"{MAPPING}1", tags(BOBS)),
        ("lambda:TagResource", f"{MAPPING}*", tags(BOBS)),
        ("lambda:TagResource", f"{MAPPING}1", tags("aws:RequestTag/Project=ecommerce-serverless-poc")),
        ("apigateway:POST", f"{APIS}/restapis", tags(BOBS)),
        ("apigateway:PUT", f"{TAGS_OF}*", tags(BOBS)),
        ("apigateway:PUT", f"{TAGS_OF}abc", tags(BOBS)),
        ("apigateway:PATCH", f"{APIS}/restapis/abc", tags(BOBS, OF_ALICE)),
    ],
    "change or retag a resource tagged as someone else's": [
        ("iam:TagRole", f"{ROLE}alice-APIGateway-SQS", tags(ALICES, OF_BOB)),
        ("sqs:TagQueue", queue("alice-ecommerce-orders-queue"), tags(ALICES, OF_BOB)),
        ("lambda:TagResource", f"{MAPPING}1", tags(ALICES, OF_BOB)),
        ("lambda:DeleteEventSourceMapping", f"{MAPPING}1", {FUNCTION: function("alice-POC-Lambda-1")} | tags(OF_BOB)),
        ("apigateway:PUT", f"{TAGS_OF}abc",
         tags(ALICES, OF_BOB)),
        # Who tags an API needs PATCH on the API.
        ("apigateway:PATCH", f"{APIS}/restapis/abc", tags(ALICES, OF_BOB)),
        ("apigateway:DELETE", f"{APIS}/restapis/abc", tags(OF_BOB)),
        ("apigateway:PUT", f"{APIS}/restapis/abc/resources/1/methods/POST/integration", tags(OF_BOB)),
    ],
    "remove a tag": [
        ("apigateway:DELETE", f"{TAGS_OF}abc", {}),
        ("iam:UntagRole", f"{ROLE}alice-APIGateway-SQS", {"aws:TagKeys": "Participant"}),
        ("sqs:UntagQueue", queue("alice-ecommerce-orders-queue"), {"aws:TagKeys": "Participant"}),
        ("lambda:UntagResource", f"{MAPPING}1", {"aws:TagKeys": "Participant"}),
    ],
    "create an API without the participant's tag": [
        ("apigateway:POST", f"{APIS}/restapis", {}),
        ("apigateway:POST", f"{APIS}/restapis", tags("aws:RequestTag/Project=ecommerce-serverless-poc")),
    ],
    "change an API without a participant's tag": [
        ("apigateway:PATCH", f"{APIS}/restapis/abc", {}),
        ("apigateway:PATCH", f"{APIS}/restapis/abc", tags(ALICES)),
        ("apigateway:DELETE", f"{APIS}/restapis/abc", {}),
        ("apigateway:POST", f"{APIS}/restapis/abc/deployments", {}),
    ],
    "change account-wide API Gateway settings": [
        ("apigateway:PATCH", f"{APIS}/account", {}),
        ("apigateway:POST", f"{APIS}/domainnames", tags(ALICES)),
        ("apigateway:POST", f"{APIS}/apis", tags(ALICES)),
        ("apigateway:POST", f"{APIS}/vpclinks", tags(ALICES)),
    ],
    "reach someone else's orders": [
        ("sqs:ReceiveMessage", queue("bob-ecommerce-orders-queue"), {}),
        ("sqs:SetQueueAttributes", queue("bob-ecommerce-orders-queue"), {}),
        ("sqs:SendMessage", queue("bob-ecommerce-orders-queue"), {}),
        ("dynamodb:Scan", f"{TABLES}bob-ecommerce-orders", {}),
        ("dynamodb:GetRecords", f"{TABLES}bob-ecommerce-orders/stream/x", {}),
        ("dynamodb:PutResourcePolicy", f"{TABLES}alice-ecommerce-orders", {}),
        ("sns:Subscribe", f"{TOPICS}bob-ecommerce-orders-topic", {}),
        ("sns:ListSubscriptions", "*", {}),
        ("logs:FilterLogEvents", f"{LOGS}bob-POC-Lambda-1", {}),
    ],
    "use the names of a participant whose prefix starts the same": [
        ("sqs:ReceiveMessage", queue("alice-ecommerce-orders-ecommerce-orders-queue"), {}),
        ("sqs:ReceiveMessage", queue("alice-b-ecommerce-orders-queue"), {}),
        ("iam:CreateRole", f"{ROLE}alice-b-APIGateway-SQS", BOUNDED),
        ("lambda:UpdateFunctionCode", function("alice-b-POC-Lambda-1"), {}),
        ("iam:CreatePolicy", f"{PATH}alice-b/x", {}),
    ],
}  # fmt: skip
#: What she needs, so that a policy that allows nothing at all does not pass.
NEEDED = [
    ("iam:CreateRole", f"{ROLE}alice-APIGateway-SQS", BOUNDED | tags(ALICES)),
    ("iam:TagRole", f"{ROLE}alice-APIGateway-SQS", tags(ALICES, OF_ALICE)),
    ("iam:AttachRolePolicy", f"{ROLE}alice-APIGateway-SQS", BOUNDED | {"iam:PolicyARN": f"{PATH}alice/x"}),
    ("iam:UpdateAssumeRolePolicy", f"{ROLE}alice-APIGateway-SQS", BOUNDED | tags(OF_ALICE)),
    ("iam:DetachRolePolicy", f"{ROLE}alice-APIGateway-SQS", {"iam:PolicyARN": f"{PATH}alice/x"}),
    ("iam:CreatePolicyVersion", f"{PATH}alice/alice-Lambda-Put-DynamoDB", {}),
    ("iam:PassRole", f"{ROLE}alice-Lambda-SQS-DynamoDB", {"iam:PassedToService": "lambda.amazonaws.com"}),
    ("lambda:CreateFunction", function("alice-POC-Lambda-1"), tags(ALICES)),
    ("lambda:CreateEventSourceMapping", "*", {FUNCTION: function("alice-POC-Lambda-1")} | tags(ALICES)),
    ("lambda:TagResource", f"{MAPPING}*", tags(ALICES)),
    ("sqs:CreateQueue", queue("alice-ecommerce-orders-queue"), tags(ALICES)),
    ("sqs:SetQueueAttributes", queue("alice-ecommerce-orders-queue"), tags(OF_ALICE)),
    ("apigateway:POST", f"{APIS}/restapis", tags(ALICES)),
    ("apigateway:GET", f"{APIS}/restapis", {}),
    ("apigateway:PUT", f"{TAGS_OF}*", tags(ALICES)),
    ("apigateway:PATCH", f"{APIS}/restapis/abc/stages/dev", tags(OF_ALICE)),
    ("apigateway:DELETE", f"{APIS}/restapis/abc", tags(OF_ALICE)),
    ("sns:Unsubscribe", "*", {}),
]
