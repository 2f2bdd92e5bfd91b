"""GitHub's GraphQL API, executed by graphql-core with GitHub's own schema."""
